using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Pipelines;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Exec;
using Quietus.Cli.Jobs;
using Quietus.Cli.Serve;

namespace Quietus.Service;

/// <summary>
/// The server's end of a job over a WebSocket: hands what the client sends to the program, no faster than it reads,
/// and the program's output to the client, no faster than that reads. A client that goes ends the job.
/// </summary>
internal sealed class LiveJob : IAsyncDisposable
{
    private const int MostAhead = 64 * 1024;

    private static readonly TimeSpan _farewell = TimeSpan.FromSeconds(2);

    private readonly JobSocket _socket;
    private readonly ExecRequest _request;
    private readonly CancellationTokenSource _gone;
    private readonly Pipe _input = new(new PipeOptions(
        pauseWriterThreshold: MostAhead, resumeWriterThreshold: MostAhead / 2, useSynchronizationContext: false));

    private readonly Pipe _files = new(new PipeOptions(
        pauseWriterThreshold: MostAhead, resumeWriterThreshold: MostAhead / 2, useSynchronizationContext: false));

    private readonly TaskCompletionSource<IRunningProgram> _program =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly CancellationTokenSource _over = new();
    private Task _reading = Task.CompletedTask;
    private bool _isAnswered;

    private LiveJob(JobSocket socket, ExecRequest request, CancellationToken cancellation)
    {
        _socket = socket;
        _request = request;
        _gone = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
    }

    public ExecRequest Request => _request;

    /// <summary>Cancelled when the client has gone, or gives up, or as the caller's token.</summary>
    public CancellationToken Gone => _gone.Token;

    public JobStreams Streams => new(
        _input.Reader.AsStream(), _socket.Writing(JobBytes.Output), _socket.Writing(JobBytes.Error));

    /// <summary>Reads what is to be run, the first message; an <see cref="IOException"/> where it is none.</summary>
    public static async Task<LiveJob> BeginAsync(JobSocket socket, CancellationToken cancellation)
    {
        (bool isNote, ReadOnlyMemory<byte> bytes) = await socket.ReadAsync(cancellation).ConfigureAwait(false)
            ?? throw new IOException("the client asked for nothing");
        ClientNote? first = isNote ? JobSocket.Parse(bytes, MessageContext.Default.ClientNote) : null;
        var job = new LiveJob(
            socket, first?.Run ?? throw new IOException("the first message is no run"), cancellation);
        job._reading = job.ReadAsync();
        return job;
    }

    /// <summary>The program runs.</summary>
    public void Start(IRunningProgram program)
    {
        _program.TrySetResult(program);
        _ = TellAsync();

        async Task TellAsync()
        {
            try
            {
                await SayAsync(new ServerNote(Started: true), Gone).ConfigureAwait(false);
            }
            catch (Exception error) when (error is IOException or OperationCanceledException)
            {
                // The reader notices it, too.
            }
        }
    }

    /// <summary>Writes the files that the client sends.</summary>
    public async Task FilesInAsync(JobClient client, CancellationToken cancellation)
    {
        Stream bytes = _files.Reader.AsStream();
        foreach (FileEntry file in _request.FilesIn ?? [])
        {
            try
            {
                await client.PutAsync(file.Path, file.Mode & 0xFFF, bytes, file.Bytes, cancellation)
                    .ConfigureAwait(false);
            }
            catch (JobException error)
            {
                throw new CliException(ExitCode.Failed, $"{file.Path} cannot be copied into the VM: {error.Message}");
            }
        }
    }

    /// <summary>Sends the files that the client wants.</summary>
    public async Task FilesOutAsync(JobClient client, CancellationToken cancellation)
    {
        foreach (string path in _request.FilesOut ?? [])
        {
            try
            {
                uint mode = await client.GetAsync(
                    path, _socket.Writing(JobBytes.File), FileCopy.MostBytes, cancellation).ConfigureAwait(false);
                await SayAsync(new ServerNote(FileMode: mode), cancellation).ConfigureAwait(false);
            }
            catch (JobException error)
            {
                throw new CliException(ExitCode.Failed, $"{path} cannot be copied out of the VM: {error.Message}");
            }
        }
    }

    /// <summary>The last word.</summary>
    public async Task AnswerAsync(ServerNote note)
    {
        _isAnswered = true;
        using var limit = new CancellationTokenSource(_farewell);
        try
        {
            await SayAsync(note, limit.Token).ConfigureAwait(false);
            await _socket.CloseAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // It has gone.
        }
    }

    public async ValueTask DisposeAsync()
    {
        // What it still sends has no reader; its own close, or its end, ends the reading.
        await _input.Reader.CompleteAsync().ConfigureAwait(false);
        await _files.Reader.CompleteAsync().ConfigureAwait(false);
        _over.CancelAfter(_isAnswered ? _farewell : TimeSpan.Zero);
        await _reading.ConfigureAwait(false);
        _over.Dispose();
        _gone.Dispose();
    }

    private Task SayAsync(ServerNote note, CancellationToken cancellation) =>
        _socket.SayAsync(note, MessageContext.Default.ServerNote, cancellation);

    private async Task ReadAsync()
    {
        try
        {
            while (await _socket.ReadAsync(_over.Token).ConfigureAwait(false) is (bool isNote, var bytes))
            {
                if (isNote)
                {
                    await ObeyAsync(JobSocket.Parse(bytes, MessageContext.Default.ClientNote)).ConfigureAwait(false);
                    continue;
                }

                PipeWriter to = (JobBytes)bytes.Span[0] == JobBytes.File ? _files.Writer : _input.Writer;
                await to.WriteAsync(bytes[1..], _over.Token).ConfigureAwait(false);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or InvalidOperationException
            or CliException)
        {
            // It has gone, or says what cannot be.
        }

        await _gone.CancelAsync().ConfigureAwait(false);
        await _input.Writer.CompleteAsync().ConfigureAwait(false);
        await _files.Writer.CompleteAsync().ConfigureAwait(false);
    }

    private async Task ObeyAsync(ClientNote note)
    {
        if (note.InputEnd == true)
        {
            await _input.Writer.CompleteAsync().ConfigureAwait(false);
        }

        if (note.Signal is > 0 and < 65 and int signal)
        {
            IRunningProgram program = await _program.Task.WaitAsync(Gone).ConfigureAwait(false);
            await program.SignalAsync(signal, Gone).ConfigureAwait(false);
        }

        if (note.Terminal is { Rows: > 0 and < 65536, Columns: > 0 and < 65536 } terminal)
        {
            IRunningProgram program = await _program.Task.WaitAsync(Gone).ConfigureAwait(false);
            await program.ResizeAsync(terminal.Rows, terminal.Columns, Gone).ConfigureAwait(false);
        }
    }
}
