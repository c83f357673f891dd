using System;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Jobs;
using Quietus.Cli.Monitoring;
using Quietus.Wire;
using Xunit;

namespace Quietus.Cli.Tests.Jobs;

/// <summary>The host's side of the job protocol, against an agent that a test plays, well or badly.</summary>
public static class JobClientTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static readonly JobOrder _cat = new() { Arguments = ["cat"] };

    [Fact]
    public static async Task A_program_s_output_error_and_code_come_apart_and_its_input_arrives()
    {
        var machine = new PipedMachine();
        (JobClient client, uint number) = await OpenAsync(machine);
        var output = new MemoryStream();
        var error = new MemoryStream();
        bool isStarted = false;
        Task<JobExit> running = client.RunAsync(
            _cat, new MemoryStream("in"u8.ToArray()), output, error, () => isStarted = true, Stop);
        machine.Send(number,
        [
            .. PipedMachine.Hello(),
            .. PipedMachine.Frame(JobKind.Started, 1, 0, 0, 0),
            .. PipedMachine.Frame(JobKind.Output, "out"u8.ToArray()),
            .. PipedMachine.Frame(JobKind.Error, "err"u8.ToArray()),
            .. PipedMachine.Frame(JobKind.Exit, 0, 7),
        ]);
        JobExit exit = await running;

        Assert.Equal((false, 7), (exit.IsSignal, exit.Value));
        Assert.True(isStarted);
        Assert.Equal("out", Encoding.ASCII.GetString(output.ToArray()));
        Assert.Equal("err", Encoding.ASCII.GetString(error.ToArray()));
        string sent = Encoding.Latin1.GetString(machine.Data());
        Assert.Contains("cat\0", sent, StringComparison.Ordinal);
        Assert.Contains("\u0002\0\0\0\u0002in", sent, StringComparison.Ordinal);
        await client.DisposeAsync();
    }

    [Fact]
    public static async Task An_agent_that_cannot_says_what_and_why()
    {
        var machine = new PipedMachine();
        (JobClient client, uint number) = await OpenAsync(machine);
        Task<JobExit> running = client.RunAsync(_cat, null, Stream.Null, Stream.Null, null, Stop);
        machine.Send(number,
            [.. PipedMachine.Hello(), .. PipedMachine.Frame(JobKind.Failed, (byte)JobFailure.Execute, 2, 0, 0, 0)]);
        JobException error = await Assert.ThrowsAsync<JobException>(() => running);
        Assert.Equal((JobFailure.Execute, 2u), (error.What, error.Errno));
        Assert.Equal("the program cannot be executed: no such file or directory", error.Message);
    }

    [Fact]
    public static async Task An_agent_that_dies_or_lies_ends_the_conversation_with_an_error()
    {
        byte[] started = PipedMachine.Frame(JobKind.Started, 1, 0, 0, 0);
        byte[] tooLong = [0xFF, 0xFF, 0xFF, 0x7F, (byte)JobKind.Output];
        byte[][] lies =
        [
            [],
            PipedMachine.Hello(version: JobFrame.Version + 1),
            PipedMachine.Hello(vm: 6),
            PipedMachine.Frame(JobKind.Output, 1),
            [.. PipedMachine.Hello(), .. started],
            [.. PipedMachine.Hello(), .. started, .. started],
            [.. PipedMachine.Hello(), .. PipedMachine.Frame(JobKind.Exit, 0, 0)],
            [.. PipedMachine.Hello(), .. PipedMachine.Frame(JobKind.Output, 1)],
            [.. PipedMachine.Hello(), .. started, .. PipedMachine.Frame(JobKind.Exit, 2, 0)],
            [.. PipedMachine.Hello(), .. started, .. PipedMachine.Frame(JobKind.Run)],
            [.. PipedMachine.Hello(), .. started, .. PipedMachine.Frame((JobKind)200)],
            [.. PipedMachine.Hello(), .. started, .. tooLong],
            [.. PipedMachine.Hello(), .. started, 5, 0, 0, 0, (byte)JobKind.Output, 1, 2],
        ];
        foreach (byte[] lie in lies)
        {
            var machine = new PipedMachine();
            (JobClient client, uint number) = await OpenAsync(machine);
            Task<JobExit> running = client.RunAsync(_cat, null, Stream.Null, Stream.Null, null, Stop);
            machine.Send(number, lie);
            machine.Reset(number, StreamEnd.Closed);
            await Assert.ThrowsAsync<JobProtocolException>(() => running.WaitAsync(TimeSpan.FromSeconds(30), Stop));
            await client.DisposeAsync();
        }
    }

    [Fact]
    public static async Task Random_answers_of_a_guest_never_do_more_than_end_the_conversation()
    {
        var random = new Random(141);
        for (int i = 0; i < 2000; i++)
        {
            var machine = new PipedMachine();
            (JobClient client, uint number) = await OpenAsync(machine);
            Task<JobExit> running = client.RunAsync(_cat, null, Stream.Null, Stream.Null, null, Stop);
            machine.Send(number, PipedMachine.Hello());
            for (int k = random.Next(6); k >= 0; k--)
            {
                byte[] payload = new byte[random.Next(12)];
                random.NextBytes(payload);
                byte[] frame = PipedMachine.Frame((JobKind)random.Next(60, 78), payload);
                frame[random.Next(frame.Length)] ^= (byte)(random.Next(8) == 0 ? random.Next(256) : 0);
                machine.Send(number, frame);
            }

            machine.Reset(number, StreamEnd.Closed);
            Exception? error = await Record.ExceptionAsync(() => running.WaitAsync(TimeSpan.FromSeconds(30), Stop));
            Assert.True(error is null or JobException or JobProtocolException, error?.ToString());
            await client.DisposeAsync();
        }
    }

    [Fact]
    public static async Task A_file_is_put_and_got_and_one_that_is_too_large_is_not_taken()
    {
        var machine = new PipedMachine();
        (JobClient client, uint number) = await OpenAsync(machine);
        Task putting = client.PutAsync("/a", 0x1A4, new MemoryStream(new byte[20_000]), 20_000, Stop);
        machine.Send(number, [.. PipedMachine.Hello(), .. PipedMachine.Frame(JobKind.Done)]);
        await putting;
        Assert.InRange(machine.Data().Length, 20_000, 20_100);

        byte[] head = [0xA4, 1, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];
        machine.Send(number,
        [
            .. PipedMachine.Frame(JobKind.File, head),
            .. PipedMachine.Frame(JobKind.Contents, 1, 2, 3),
            .. PipedMachine.Frame(JobKind.Done),
        ]);
        var got = new MemoryStream();
        Assert.Equal(0x1A4u, await client.GetAsync("/a", got, 3, Stop));
        Assert.Equal(new byte[] { 1, 2, 3 }, got.ToArray());

        machine.Send(number,
            [.. PipedMachine.Frame(JobKind.File, head), .. PipedMachine.Frame(JobKind.Contents, 1, 2, 3)]);
        await Assert.ThrowsAsync<JobProtocolException>(() => client.GetAsync("/a", got, 2, Stop));
    }

    [Fact]
    public static async Task A_freeze_ends_the_connection_and_is_no_error()
    {
        var machine = new PipedMachine();
        (JobClient client, uint number) = await OpenAsync(machine);
        machine.Send(number, PipedMachine.Hello());
        Task freezing = client.FreezeAsync(Stop);
        machine.Reset(number, StreamEnd.Frozen);
        await freezing;
    }

    private static async Task<(JobClient Client, uint Number)> OpenAsync(PipedMachine machine)
    {
        (Stream stream, uint number) = await machine.ConnectAsync();
        return (new JobClient(new JobConnection(stream, 5)), number);
    }
}
