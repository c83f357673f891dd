using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Wire;
using Xunit;

namespace Quietus.Cli.Tests.Jobs;

/// <summary>The host's end of a stream: bytes, limits in both directions, ends.</summary>
public static class StreamClientTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public static async Task Bytes_go_both_ways_and_an_orderly_end_is_the_end_of_the_stream()
    {
        var machine = new PipedMachine();
        (Stream stream, uint number) = await machine.ConnectAsync();
        await stream.WriteAsync(new byte[3000], Stop);
        machine.Send(number, "hello"u8);
        machine.Reset(number, StreamEnd.Closed);
        byte[] read = new byte[16];

        Assert.Equal(3000, machine.Data().Length);
        Assert.Equal(5, await stream.ReadAsync(read, Stop));
        Assert.Equal(0, await stream.ReadAsync(read, Stop));
        await stream.DisposeAsync();
        Assert.False(machine.TryNext(out _)); // the machine ended it, and needs no word
    }

    [Fact]
    public static async Task No_more_is_written_than_the_guest_has_room_for()
    {
        var machine = new PipedMachine();
        (Stream stream, uint number) = await machine.ConnectAsync(limit: 1500);
        Task writing = stream.WriteAsync(new byte[4000], Stop).AsTask();
        await Task.Delay(50, Stop);
        Assert.False(writing.IsCompleted);
        Assert.Equal(1500, machine.Data().Length);

        machine.Say(StreamKind.Credit, number, 1000); // one that came late says nothing
        machine.Say(StreamKind.Credit, number, 4000);
        await writing.WaitAsync(TimeSpan.FromSeconds(30), Stop);
        Assert.Equal(2500, machine.Data().Length);
    }

    [Fact]
    public static async Task The_guest_gets_room_as_far_as_its_bytes_were_read_and_not_before()
    {
        var machine = new PipedMachine();
        (Stream stream, uint number) = await machine.ConnectAsync();
        machine.Send(number, new byte[StreamMessage.Window]);
        await Task.Delay(20, Stop);
        Assert.False(machine.TryNext(out _));

        await stream.ReadExactlyAsync(new byte[StreamMessage.Window / 4], Stop);
        Assert.True(StreamMessage.TryRead(await machine.NextAsync(), out StreamMessage credit));
        Assert.Equal((StreamKind.Credit, StreamMessage.Window / 4 * 5), (credit.Kind, credit.Limit));
        machine.Send(number, new byte[(StreamMessage.Window / 4) + 1]); // one more than that
        await Assert.ThrowsAsync<IOException>(
            () => stream.ReadExactlyAsync(new byte[2 * StreamMessage.Window], Stop).AsTask());
    }

    [Theory]
    [InlineData(StreamEnd.ByGuest)]
    [InlineData(StreamEnd.NoDevice)]
    [InlineData(StreamEnd.Ended)]
    internal static async Task A_refusal_and_a_break_say_why_and_what_came_before_can_be_read(StreamEnd end)
    {
        var machine = new PipedMachine();
        Task<Stream> connecting = machine.Client.ConnectAsync(0, 5, 9, Stop);
        machine.Reset(await machine.OpenedAsync(), end);
        GuestStreamException refused = await Assert.ThrowsAsync<GuestStreamException>(() => connecting);
        Assert.Equal(end, refused.End);

        (Stream stream, uint number) = await machine.ConnectAsync();
        machine.Send(number, "x"u8);
        machine.Reset(number, end);
        Assert.Equal(1, await stream.ReadAsync(new byte[8], Stop));
        GuestStreamException broken = await Assert.ThrowsAsync<GuestStreamException>(
            () => stream.ReadAsync(new byte[8], Stop).AsTask());
        Assert.Equal(end, broken.End);
        await Assert.ThrowsAsync<GuestStreamException>(() => stream.WriteAsync(new byte[1], Stop).AsTask());
    }

    [Fact]
    public static async Task A_machine_that_is_gone_fails_reads_writes_and_new_streams()
    {
        var machine = new PipedMachine();
        (Stream stream, _) = await machine.ConnectAsync(limit: 0);
        Task<int> reading = stream.ReadAsync(new byte[8], Stop).AsTask();
        Task writing = stream.WriteAsync(new byte[8], Stop).AsTask();
        machine.Client.Fail(new CliException(ExitCode.Failed, "gone"));
        await Assert.ThrowsAsync<CliException>(() => reading);
        await Assert.ThrowsAsync<CliException>(() => writing);
        await Assert.ThrowsAsync<CliException>(
            () => machine.Client.ConnectAsync(0, 5, 1, Stop));
    }

    [Fact]
    public static async Task A_stream_that_is_given_up_is_reset_once()
    {
        var machine = new PipedMachine();
        (Stream stream, uint number) = await machine.ConnectAsync();
        await stream.DisposeAsync();
        await stream.DisposeAsync();
        Assert.True(StreamMessage.TryRead(await machine.NextAsync(), out StreamMessage reset));
        Assert.Equal((StreamKind.Reset, number), (reset.Kind, reset.Stream));
        Assert.False(machine.TryNext(out _));
        machine.Send(number, "late"u8); // dropped

        using var givenUp = new CancellationTokenSource();
        Task<Stream> connecting = machine.Client.ConnectAsync(0, 5, 1, givenUp.Token);
        await machine.OpenedAsync();
        await givenUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connecting);
        Assert.True(StreamMessage.TryRead(await machine.NextAsync(), out reset));
        Assert.Equal(StreamKind.Reset, reset.Kind);
    }
}
