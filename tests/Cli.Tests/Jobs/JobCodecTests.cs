using System;
using System.Text;
using Quietus.Wire;
using Xunit;

namespace Quietus.Cli.Tests.Jobs;

/// <summary>The job protocol's messages, and bytes that are none.</summary>
public static class JobCodecTests
{
    [Fact]
    public static void A_run_order_comes_out_as_it_went_in()
    {
        byte[] buffer = new byte[256];
        var to = new PayloadWriter(buffer);
        new JobRun
        {
            Flags = JobRun.Terminal,
            Rows = 24,
            Columns = 80,
            Arguments = 2,
            Variables = 1,
            User = "daemon:users"u8,
            Folder = "/tmp"u8,
        }.Write(ref to);
        to.Text("sh"u8);
        to.Text(""u8);
        to.Text("A=B"u8);

        Assert.True(JobRun.TryRead(to.Written, out JobRun run, out PayloadReader texts));

        Assert.Equal(JobRun.Terminal, run.Flags);
        Assert.Equal((24, 80, 2, 1), (run.Rows, run.Columns, run.Arguments, run.Variables));
        Assert.Equal("daemon:users", Encoding.UTF8.GetString(run.User));
        Assert.Equal("/tmp", Encoding.UTF8.GetString(run.Folder));
        Assert.Equal("sh", Encoding.UTF8.GetString(texts.Text()));
        Assert.Equal("", Encoding.UTF8.GetString(texts.Text()));
        Assert.Equal("A=B", Encoding.UTF8.GetString(texts.Text()));
        Assert.True(texts.IsWhole);
    }

    [Fact]
    public static void What_is_cut_short_or_goes_on_is_no_order()
    {
        byte[] buffer = new byte[64];
        var to = new PayloadWriter(buffer);
        new JobRun { Arguments = 1, User = ""u8, Folder = ""u8 }.Write(ref to);
        to.Text("true"u8);
        byte[] whole = to.Written.ToArray();
        Assert.True(JobRun.TryRead(whole, out _, out _));
        for (int length = 0; length < whole.Length; length++)
        {
            Assert.False(JobRun.TryRead(whole.AsSpan(0, length), out _, out _));
        }

        Assert.False(JobRun.TryRead([.. whole, 0], out _, out _));
        whole[0] = 2; // a flag that does not exist
        Assert.False(JobRun.TryRead(whole, out _, out _));
    }

    [Fact]
    public static void A_text_with_a_zero_or_without_room_is_refused_and_nothing_half_written()
    {
        var to = new PayloadWriter(new byte[4]);
        to.Text("a\0b"u8);
        Assert.True(to.Overflowed);
        to = new PayloadWriter(new byte[4]);
        to.Text("abcd"u8);
        Assert.True(to.Overflowed);
        Assert.Equal(0, to.Written.Length);
        to = new PayloadWriter(new byte[4]);
        to.Text("abc"u8);
        Assert.False(to.Overflowed);
    }

    [Fact]
    public static void A_frame_s_length_is_believed_up_to_its_bound()
    {
        byte[] header = new byte[JobFrame.HeaderBytes];
        JobFrame.WriteHeader(header, JobKind.Output, JobFrame.MaximumPayload);
        Assert.True(JobFrame.TryReadHeader(header, out JobKind kind, out int length));
        Assert.Equal((JobKind.Output, JobFrame.MaximumPayload), (kind, length));
        JobFrame.WriteHeader(header, JobKind.Output, JobFrame.MaximumPayload + 1);
        Assert.False(JobFrame.TryReadHeader(header, out _, out length));
        Assert.Equal(0, length);
        JobFrame.WriteHeader(header, JobKind.Output, -1);
        Assert.False(JobFrame.TryReadHeader(header, out _, out _));
    }

    [Fact]
    public static void Random_bytes_are_read_within_their_bounds_or_refused()
    {
        var random = new Random(14);
        byte[] bytes = new byte[96];
        for (int i = 0; i < 100_000; i++)
        {
            Span<byte> payload = bytes.AsSpan(0, random.Next(bytes.Length));
            random.NextBytes(payload);
            for (int k = random.Next(payload.Length + 1); k < payload.Length; k++)
            {
                payload[k] = (byte)random.Next(3); // mostly small counts, and ends of texts
            }

            if (JobRun.TryRead(payload, out JobRun run, out PayloadReader texts))
            {
                Assert.InRange(run.Arguments, 1, JobRun.MostTexts);
                for (int k = 0; k < run.Arguments + run.Variables; k++)
                {
                    texts.Text();
                }

                Assert.True(texts.IsWhole);
            }

            if (JobFile.TryRead(payload, out JobFile file))
            {
                Assert.InRange(file.Mode, 0u, 0xFFFu);
            }

            if (JobIdentity.TryRead(payload, out JobIdentity identity))
            {
                Assert.InRange(identity.Name.Length, 0, JobIdentity.MostName);
            }

            _ = JobHello.TryRead(payload, out _);
            _ = JobExit.TryRead(payload, out _);
            _ = JobFailed.TryRead(payload, out _);
            _ = StreamMessage.TryRead(payload, out _);
        }
    }

    [Fact]
    public static void Stream_messages_come_out_as_they_went_in()
    {
        byte[] buffer = new byte[64];
        int length = StreamMessage.WriteOpen(buffer, 3, 1024, 77, JobFrame.Port, StreamMessage.Window);
        Assert.True(StreamMessage.TryRead(buffer.AsSpan(0, length), out StreamMessage open));
        Assert.Equal((3, StreamKind.Open, 1024u), (open.Slot, open.Kind, open.Stream));
        Assert.Equal((77ul, JobFrame.Port, StreamMessage.Window), (open.Vm, open.Port, open.Limit));
        length = StreamMessage.WriteReset(buffer, 3, 1024, StreamEnd.Frozen);
        Assert.True(StreamMessage.TryRead(buffer.AsSpan(0, length), out StreamMessage reset));
        Assert.Equal(StreamEnd.Frozen, reset.End);
        buffer[0] = FrameFormat.ConsoleSlots;
        Assert.False(StreamMessage.TryRead(buffer.AsSpan(0, length), out _));
    }
}
