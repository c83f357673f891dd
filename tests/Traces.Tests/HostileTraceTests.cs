using System;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;
using System.Threading;
using FsCheck;
using FsCheck.Fluent;
using Shouldly;
using Xunit;

namespace Quietus.Traces.Tests;

/// <summary>Damaged, cut, foreign and hostile input: an error that names the line, or a count.</summary>
public class HostileTraceTests
{
    private static readonly byte[] _small = Encoding.UTF8.GetBytes(Sample.Small);

    [Theory]
    [InlineData("", "empty")]
    [InlineData("hello\nworld\n", "line 1: this is no trace of ftrace, trace-cmd or perf")]
    [InlineData("\0\0\0\0\0\n", "line 1: this is no trace of ftrace, trace-cmd or perf")]
    [InlineData("\u0017\u0008\u0044tracing6\0\0", "line 1: this is trace-cmd's own file")]
    [InlineData("# tracer: nop\n#\n", "line 1: this is no trace of ftrace, trace-cmd or perf")]
    [InlineData("a-1 [0] d... 1.0: sched_switch: prev_comm=a ==> next_comm=b\n", "none of the 1 lines is a map")]
    public void What_is_no_trace_is_said_to_be_none(string text, string message) =>
        Should.Throw<TraceException>(() => Sample.Read(text)).Message.ShouldContain(message);

    [Theory]
    [InlineData("phys=0x10a200000", "phys=0x10a20000g", 8)]
    [InlineData("phys=0x10a200000 ", "", 8)]
    [InlineData("size=0x10000000", "size=0x10000001", 12)]
    [InlineData("size=0x10000000", "size=0xfffffffffffff000", 12)]
    [InlineData("size=0x10000000", "size=0x0", 12)]
    [InlineData("addr=0x80200000", "addr=0xffff000080200000", 8)]
    [InlineData("addr=0x80200000 size=0x200000", "addr=0x80200000 size=0x10000", 8)]
    [InlineData("0x00ffffa8000000 -- 0x00ffffb8000000", "0x00ffffb8000000 -- 0x00ffffa8000000", 11)]
    [InlineData("level=3", "leve", 13)]
    public void A_known_event_that_cannot_be_is_an_error_with_its_line(string old, string replacement, int line) =>
        Should.Throw<TraceException>(
            () => Sample.Read(Sample.Small.Replace(old, replacement, StringComparison.Ordinal)))
            .Line.ShouldBe(line);

    [Fact]
    public void Foreign_lines_are_counted()
    {
        HostTrace trace = Sample.Read(Sample.Small.Replace(
            "# tracer: nop\n", "# tracer: nop\nhello\n[   12.3] a kernel's message\nCPU:1 [LOST 20 EVENTS]\n"
                + "          CPU:0 [2 EVENTS DROPPED]\nCPU:2 [LOST EVENTS]\n",
            StringComparison.Ordinal));

        trace.Counts.Foreign.ShouldBe(2);
        trace.Counts.FirstForeign.ShouldBe(2);
        trace.Counts.Lost.ShouldBe(23);
        trace.Operations.Count.ShouldBe(5);
    }

    [Fact]
    public void KVM_s_own_events_alone_are_told_from_no_trace()
    {
        TraceException error = Should.Throw<TraceException>(() => Sample.Read(
            "a-1 [0] d... 1.0: kvm_guest_fault: ipa 0x10000, hsr 0x82000005, hxfar 0x010000, pc 0x00000000010000\n"));
        error.Message.ShouldContain("the kprobe on kvm_pgtable_stage2_map is missing");
        error.NextStep.ShouldContain("--record-script");
    }

    [Fact]
    public async System.Threading.Tasks.Task A_pipe_is_read_gzipped_or_not()
    {
        foreach (byte[] bytes in (byte[][])[_small, Sample.Pack(_small)])
        {
            using var pipe = new System.IO.Pipes.AnonymousPipeServerStream(System.IO.Pipes.PipeDirection.Out);
            using var reader = new System.IO.Pipes.AnonymousPipeClientStream(
                System.IO.Pipes.PipeDirection.In, pipe.ClientSafePipeHandle);
            var writing = System.Threading.Tasks.Task.Run(() =>
            {
                pipe.Write(bytes);
                pipe.Dispose();
            }, TestContext.Current.CancellationToken);
            TraceReader.Read(reader, TestContext.Current.CancellationToken).Operations.Count.ShouldBe(5);
            await writing;
        }
    }

    [Fact]
    public void A_ring_buffer_that_ran_over_is_noticed() =>
        Sample.Read(Sample.Small.Replace("12/12", "12/100", StringComparison.Ordinal)).Counts.Lost.ShouldBe(88);

    [Fact]
    public void A_second_VM_is_an_error_with_its_line() =>
        Should.Throw<TraceException>(() => Sample.Read(Sample.Small + Sample.Small)).Line.ShouldBe(22);

    [Fact]
    public void Text_cut_at_any_byte_is_an_error_or_a_beginning_that_says_so()
    {
        HostTrace whole = Sample.Read(_small);
        for (int length = 0; length < _small.Length; length++)
        {
            HostTrace? trace = ReadOrRefuse(_small[..length]);
            if (trace is not null)
            {
                trace.Counts.LastLineIsCut.ShouldBe(_small[length - 1] != '\n', $"at byte {length}");
                trace.Operations.ShouldBe(whole.Operations.Take(trace.Operations.Count), $"at byte {length}");
            }
        }
    }

    [Fact]
    public void Gzip_cut_at_any_byte_is_an_error()
    {
        byte[] packed = Sample.Pack(_small);
        Sample.Read(packed).Operations.Count.ShouldBe(5);
        for (int length = 0; length < packed.Length; length++)
        {
            Should.Throw<TraceException>(() => Sample.Read(packed[..length]), $"at byte {length}");
        }
    }

    [Fact]
    public void Gzip_with_any_bit_changed_is_an_error_or_the_same_trace()
    {
        byte[] packed = Sample.Pack(_small);
        HostTrace whole = Sample.Read(_small);
        for (int bit = 0; bit < packed.Length * 8; bit++)
        {
            byte[] damaged = (byte[])packed.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            ReadOrRefuse(damaged)?.Operations.ShouldBe(whole.Operations, $"bit {bit}");
        }
    }

    [Fact]
    public void A_gzip_bomb_takes_no_more_memory_than_a_line()
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
        {
            byte[] zeros = new byte[1 << 20];
            for (int i = 0; i < 512; i++)
            {
                gzip.Write(zeros);
            }
        }

        packed.Position = 0;
        long before = GC.GetAllocatedBytesForCurrentThread();
        Should.Throw<TraceException>(() => TraceReader.Read(packed, CancellationToken.None))
            .Message.ShouldContain("more than 200 times its size");
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(4 << 20);
    }

    [Fact]
    public void A_line_too_long_is_foreign_and_what_follows_is_read()
    {
        HostTrace trace = Sample.Read(new string('x', 1_000_000) + "\n" + Sample.Small);

        trace.Counts.Foreign.ShouldBe(1);
        trace.Counts.Lines.ShouldBe(Sample.Read(Sample.Small).Counts.Lines + 1);
        trace.Operations.Count.ShouldBe(5);
    }

    [Fact]
    public void Reading_allocates_by_the_operations_and_not_by_the_lines()
    {
        string noise = string.Concat(Enumerable.Repeat(
            "a-1 [0] d... 1.0: kvm_entry: PC: 0xffff800008859390\n", 100_000));
        byte[] bytes = Encoding.UTF8.GetBytes(Sample.Small + noise);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Sample.Read(bytes).Counts.OtherEvents.ShouldBe(100_000);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(1 << 20);
    }

    [Fact]
    public void Cancelling_ends_the_reading()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        using FileStream file = File.OpenRead(Sample.PathOf("munmap-2M-4k"));
        Should.Throw<OperationCanceledException>(() => TraceReader.Read(file, cancelled.Token));
    }

    /// <summary>Bytes of a real trace overwritten, deleted and doubled anywhere.</summary>
    [Fact]
    public void Mutations_of_a_real_trace_never_crash()
    {
        using var real = new MemoryStream();
        using (FileStream file = File.OpenRead(Sample.PathOf("munmap-16M-thp")))
        using (var gzip = new GZipStream(file, CompressionMode.Decompress))
        {
            gzip.CopyTo(real);
        }

        byte[] bytes = real.ToArray();
        Gen<(int At, int Kind, byte Value)> mutation =
            from at in Gen.Choose(0, bytes.Length - 1)
            from kind in Gen.Choose(0, 3)
            from value in Gen.Elements(" \n0x[]():-=.,#f9\0\u007f"u8.ToArray())
            select (at, kind, value);
        Prop.ForAll(Arb.From(Gen.ListOf(mutation)), mutations =>
        {
            var changed = bytes.ToList();
            foreach ((int at, int kind, byte value) in mutations)
            {
                int place = at % changed.Count;
                switch (kind)
                {
                    case 0: changed[place] = value; break;
                    case 1: changed.RemoveAt(place); break;
                    case 2: changed.Insert(place, value); break;
                    default: changed.RemoveRange(place, Math.Min(changed.Count - place - 1, 40)); break;
                }
            }

            ReadOrRefuse([.. changed]);
        }).QuickCheckThrowOnFailure();
    }

    /// <summary>What was read; null where it was refused with an error for people.</summary>
    private static HostTrace? ReadOrRefuse(byte[] bytes)
    {
        try
        {
            return Sample.Read(bytes);
        }
        catch (TraceException error)
        {
            error.Message.ShouldNotBeNullOrWhiteSpace();
            error.NextStep.ShouldNotBeNullOrWhiteSpace();
            return null;
        }
    }
}
