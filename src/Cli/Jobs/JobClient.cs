using System;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Monitoring;
using Quietus.Wire;

namespace Quietus.Cli.Jobs;

/// <summary>
/// What a host asks of a VM's agent, over one connection: identity, files, one program. Errors: a
/// <see cref="JobException"/> when the agent could not, a <see cref="JobProtocolException"/> when it is none, a
/// <see cref="GuestStreamException"/> when the VM is gone.
/// </summary>
internal sealed class JobClient(JobConnection connection) : IRunningProgram, IAsyncDisposable
{
    /// <summary>Bytes that are copied at a time.</summary>
    private const int Piece = 16 * 1024;

    private bool _owesIdentity;

    /// <summary>Connects to the agent of a VM.</summary>
    public static async Task<JobClient> OpenAsync(
        IGuestStreams streams, int slot, long vm, CancellationToken cancellation) =>
        new(await JobConnection.OpenAsync(streams, slot, vm, cancellation).ConfigureAwait(false));

    /// <summary>
    /// Sets wall clock and host name, and renews the random numbers after a birth. The agent carries orders out one
    /// after the other, so its answer is only waited for with the next one's; where it could not, that one fails.
    /// </summary>
    public async Task IdentifyAsync(DateTimeOffset now, string name, CancellationToken cancellation)
    {
        ulong nanoseconds = (ulong)(now - DateTimeOffset.UnixEpoch).Ticks * 100;
        byte[] text = Encoding.UTF8.GetBytes(name);
        await connection.SendAsync(
            JobKind.Identity,
            (ref PayloadWriter to) => new JobIdentity { Nanoseconds = nanoseconds, Name = text }.Write(ref to),
            cancellation).ConfigureAwait(false);
        _owesIdentity = true;
    }

    /// <summary>
    /// Runs a program to its end. What it writes is passed on as it comes, no faster than it is taken; its input is
    /// read no faster than it reads. A program whose output cannot be written is told by the pipe's end, as by a shell.
    /// </summary>
    /// <param name="order">Which.</param>
    /// <param name="input">Its standard input; null for none.</param>
    /// <param name="output">Gets its standard output.</param>
    /// <param name="error">Gets its standard error.</param>
    /// <param name="started">Called when it runs; signals and sizes can be sent from then on. May be null.</param>
    /// <param name="cancellation">Gives it up: close the connection then, which ends the program.</param>
    public async Task<JobExit> RunAsync(
        JobOrder order, Stream? input, Stream output, Stream error, Action? started, CancellationToken cancellation)
    {
        await connection.SendAsync(JobKind.Run, (ref PayloadWriter to) => Write(order, ref to), cancellation)
            .ConfigureAwait(false);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task sending = SendInputAsync(input, over.Token);
        try
        {
            bool isStarted = false;
            while (true)
            {
                JobMessage message = await NextAsync(cancellation).ConfigureAwait(false);
                switch (message.Kind)
                {
                    case JobKind.Started when !isStarted:
                        isStarted = true;
                        started?.Invoke();
                        break;
                    case JobKind.Output when isStarted:
                        await output.WriteAsync(message.Payload, cancellation).ConfigureAwait(false);
                        await output.FlushAsync(cancellation).ConfigureAwait(false);
                        break;
                    case JobKind.Error when isStarted:
                        await error.WriteAsync(message.Payload, cancellation).ConfigureAwait(false);
                        await error.FlushAsync(cancellation).ConfigureAwait(false);
                        break;
                    case JobKind.Exit when isStarted && JobExit.TryRead(message.Payload.Span, out JobExit exit):
                        return exit;
                    default:
                        throw Unexpected(message.Kind);
                }
            }
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            await sending.ConfigureAwait(false);
        }
    }

    /// <summary>Sends the program's process group a signal, by arm64 Linux's number.</summary>
    public Task SignalAsync(int signal, CancellationToken cancellation) =>
        connection.SendAsync(JobKind.Signal, new[] { (byte)signal }, cancellation);

    /// <summary>Tells the program's terminal its size.</summary>
    public Task ResizeAsync(int rows, int columns, CancellationToken cancellation) => connection.SendAsync(
        JobKind.Size,
        (ref PayloadWriter to) =>
        {
            to.Half((ushort)rows);
            to.Half((ushort)columns);
        },
        cancellation);

    /// <summary>Writes a file in the VM, in place of one that is there.</summary>
    public async Task PutAsync(string path, uint mode, Stream contents, long bytes, CancellationToken cancellation)
    {
        byte[] text = Encoding.UTF8.GetBytes(path);
        await connection.SendAsync(
            JobKind.Put,
            (ref PayloadWriter to) => new JobFile { Mode = mode, Bytes = (ulong)bytes, Path = text }.Write(ref to),
            cancellation).ConfigureAwait(false);
        byte[] buffer = new byte[Piece];
        for (long left = bytes; left > 0;)
        {
            int count = await contents.ReadAsync(buffer.AsMemory(0, (int)Math.Min(left, Piece)), cancellation)
                .ConfigureAwait(false);
            if (count == 0)
            {
                throw new EndOfStreamException("the file became shorter while it was copied");
            }

            await connection.SendAsync(JobKind.FileData, buffer.AsMemory(0, count), cancellation).ConfigureAwait(false);
            left -= count;
        }

        await connection.SendAsync(JobKind.FileEnd, ReadOnlyMemory<byte>.Empty, cancellation).ConfigureAwait(false);
        await ExpectAsync(JobKind.Done, cancellation).ConfigureAwait(false);
    }

    /// <summary>Reads a file of the VM's, at most so many bytes. Returns its permission bits.</summary>
    public async Task<uint> GetAsync(string path, Stream to, long mostBytes, CancellationToken cancellation)
    {
        byte[] text = Encoding.UTF8.GetBytes(path);
        await connection.SendAsync(
            JobKind.Get, (ref PayloadWriter writer) => writer.Text(text), cancellation).ConfigureAwait(false);
        JobMessage message = await NextAsync(cancellation).ConfigureAwait(false);
        uint mode = ModeOf(message);
        long bytes = 0;
        while ((message = await NextAsync(cancellation).ConfigureAwait(false)).Kind == JobKind.Contents)
        {
            bytes += message.Payload.Length;
            if (bytes > mostBytes)
            {
                throw new JobProtocolException($"the guest's file has more than {mostBytes} bytes");
            }

            await to.WriteAsync(message.Payload, cancellation).ConfigureAwait(false);
        }

        return message.Kind == JobKind.Done ? mode : throw Unexpected(message.Kind);
    }

    /// <summary>
    /// Makes a template of the VM. The connection ends with <see cref="StreamEnd.Frozen"/> then: no error here.
    /// </summary>
    public async Task FreezeAsync(CancellationToken cancellation)
    {
        await connection.SendAsync(JobKind.Freeze, ReadOnlyMemory<byte>.Empty, cancellation).ConfigureAwait(false);
        try
        {
            throw Unexpected((await NextAsync(cancellation).ConfigureAwait(false)).Kind);
        }
        catch (GuestStreamException error) when (error.End == StreamEnd.Frozen)
        {
            // As it has to be.
        }
    }

    public ValueTask DisposeAsync() => connection.DisposeAsync();

    private static void Write(JobOrder order, ref PayloadWriter to)
    {
        new JobRun
        {
            Flags = order.Terminal is null ? 0 : JobRun.Terminal,
            Rows = (ushort)(order.Terminal?.Rows ?? 0),
            Columns = (ushort)(order.Terminal?.Columns ?? 0),
            Arguments = checked((ushort)order.Arguments.Count),
            Variables = checked((ushort)order.Environment.Count),
            User = Encoding.UTF8.GetBytes(order.User),
            Folder = Encoding.UTF8.GetBytes(order.Folder),
        }.Write(ref to);
        foreach (string argument in order.Arguments)
        {
            to.Text(Encoding.UTF8.GetBytes(argument));
        }

        foreach (string variable in order.Environment)
        {
            to.Text(Encoding.UTF8.GetBytes(variable));
        }
    }

    private static uint ModeOf(JobMessage message) =>
        message.Kind == JobKind.File && JobFile.TryRead(message.Payload.Span, out JobFile file)
            ? file.Mode
            : throw Unexpected(message.Kind);

    private static JobProtocolException Unexpected(JobKind kind) =>
        new($"the agent's answer does not fit what was asked: {kind}");

    private async Task ExpectAsync(JobKind kind, CancellationToken cancellation)
    {
        JobMessage message = await NextAsync(cancellation).ConfigureAwait(false);
        if (message.Kind != kind)
        {
            throw Unexpected(message.Kind);
        }
    }

    private async Task<JobMessage> NextAsync(CancellationToken cancellation)
    {
        JobMessage message = await connection.ReadAsync(cancellation).ConfigureAwait(false)
            ?? throw new JobProtocolException("the agent has ended before the answer was complete");
        if (message.Kind == JobKind.Failed && JobFailed.TryRead(message.Payload.Span, out JobFailed failed))
        {
            throw new JobException(failed);
        }

        if (_owesIdentity && message.Kind == JobKind.Done)
        {
            _owesIdentity = false;
            return await NextAsync(cancellation).ConfigureAwait(false);
        }

        return message;
    }

    private async Task SendInputAsync(Stream? input, CancellationToken over)
    {
        try
        {
            byte[] buffer = new byte[Piece];
            int count;
            while (input is not null && (count = await input.ReadAsync(buffer, over).ConfigureAwait(false)) > 0)
            {
                await connection.SendAsync(JobKind.Input, buffer.AsMemory(0, count), over).ConfigureAwait(false);
            }

            await connection.SendAsync(JobKind.InputEnd, ReadOnlyMemory<byte>.Empty, over).ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or ObjectDisposedException)
        {
            // The program has ended, or the reader of its answers learns why there is no connection.
        }
    }
}
