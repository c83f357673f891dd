using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Exec;
using Quietus.Cli.Jobs;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Serve;

/// <summary>
/// Runs jobs on a server, a connection for each. The few lines of HTTP that begin a WebSocket are written here: .NET's
/// client would take longer to start than a warm job takes.
/// </summary>
internal sealed class ServerClient(ServerAddress address, string? token)
{
    private const int Piece = 16 * 1024;
    private const int MostHeader = 16 * 1024;
    private const int MostBody = 64 * 1024;
    private const int Switching = 101;
    private const int NotFound = 404;
    private const int Unavailable = 503;

    /// <summary>How long a server that is not ready is left alone before it is asked again.</summary>
    private static readonly TimeSpan _pause = TimeSpan.FromMilliseconds(200);

    private static readonly TimeSpan _answerLimit = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Runs a program in a child of a template. A <see cref="CliException"/> says that not the program failed, but
    /// what runs it; a <see cref="NoTemplateException"/> that the server has no such template, or not with that
    /// network.
    /// </summary>
    /// <param name="template">Its name.</param>
    /// <param name="request">The program.</param>
    /// <param name="job">What else goes in and out.</param>
    /// <param name="readyLimit">How long the server may take to be ready.</param>
    /// <param name="cancellation">Gives it up, which ends the program.</param>
    public async Task<ExecEnd> RunAsync(
        string template, ExecRequest request, ServerJob job, TimeSpan readyLimit, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(readyLimit);
        while (true)
        {
            try
            {
                return await RunOnceAsync(template, request, job, cancellation).ConfigureAwait(false);
            }
            catch (RefusedException refused) when (refused.Problem.Status == NotFound)
            {
                throw new NoTemplateException(refused.Problem.Error);
            }
            catch (RefusedException refused) when (refused.Problem.Status == Unavailable && !refused.HasStarted
                && !limit.IsCancellationRequested)
            {
                // Nothing has been read of the input: the program has not started.
                await Task.Delay(_pause, cancellation).ConfigureAwait(false);
            }
            catch (RefusedException refused)
            {
                Problem problem = refused.Problem;
                throw new CliException(
                    ExitCode.Failed, "the server says: " + Printable.Line(problem.Error), problem.Next,
                    problem.Details);
            }
            catch (SocketException error)
            {
                throw new CliException(ExitCode.Failed, $"there is no server at {address}: {error.Message}");
            }
            catch (IOException error) when (!cancellation.IsCancellationRequested && error is not OutputException)
            {
                throw new CliException(
                    ExitCode.Failed, $"the server at {address} has gone, or does not speak as one: {error.Message}",
                    "its own messages may say why");
            }
        }
    }

    private async Task<ExecEnd> RunOnceAsync(
        string template, ExecRequest request, ServerJob job, CancellationToken cancellation)
    {
        using JobSocket socket = await OpenAsync($"/v1/templates/{template}/run", cancellation).ConfigureAwait(false);
        await socket.SayAsync(
            new ClientNote(Run: request), MessageContext.Default.ClientNote, cancellation).ConfigureAwait(false);
        foreach (FileCopy copy in job.In)
        {
            await JobFiles.ReadAsync(copy, (file, _) => SendAsync(socket, JobBytes.File, file, cancellation))
                .ConfigureAwait(false);
        }

        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task sending = Task.CompletedTask;
        bool hasStarted = false;
        try
        {
            var files = new Queue<FileCopy>(job.Out);
            while (true)
            {
                (bool isNote, ReadOnlyMemory<byte> bytes) = await NextAsync(socket, cancellation).ConfigureAwait(false);
                if (!isNote && bytes.Span[0] == (byte)JobBytes.File)
                {
                    await TakeFileAsync(socket, files, bytes, cancellation).ConfigureAwait(false);
                    continue;
                }

                if (!isNote)
                {
                    Stream to = (JobBytes)bytes.Span[0] == JobBytes.Error ? job.Streams.Error : job.Streams.Output;
                    await WriteAsync(to, bytes[1..], cancellation).ConfigureAwait(false);
                    continue;
                }

                ServerNote note = JobSocket.Parse(bytes, MessageContext.Default.ServerNote);
                if (note.Started == true)
                {
                    hasStarted = true;
                    sending = SendInputAsync(socket, job.Streams.Input, over.Token);
                    job.Started?.Invoke(new Remote(socket));
                }
                else if (note.FileMode is not null)
                {
                    // An empty file.
                    await TakeFileAsync(socket, files, bytes, cancellation, note.FileMode).ConfigureAwait(false);
                }
                else
                {
                    return note.End ?? throw new RefusedException(
                        note.Problem ?? throw new IOException("a message says nothing"), hasStarted);
                }
            }
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            await sending.ConfigureAwait(false);
        }
    }

    private static async Task TakeFileAsync(
        JobSocket socket, Queue<FileCopy> files, ReadOnlyMemory<byte> first, CancellationToken cancellation,
        uint? mode = null)
    {
        if (!files.TryDequeue(out FileCopy? copy))
        {
            throw new IOException("a file comes that was not asked for");
        }

        await JobFiles.WriteAsync(copy, async file =>
        {
            ReadOnlyMemory<byte> bytes = first;
            while (mode is null)
            {
                await file.WriteAsync(bytes[1..], cancellation).ConfigureAwait(false);
                (bool isNote, bytes) = await NextAsync(socket, cancellation).ConfigureAwait(false);
                if (isNote)
                {
                    ServerNote note = JobSocket.Parse(bytes, MessageContext.Default.ServerNote);
                    mode = note.FileMode ?? throw new RefusedException(
                        note.Problem ?? throw new IOException("a file ends in the middle"));
                }
            }

            return mode.Value;
        }).ConfigureAwait(false);
    }

    private static async Task<(bool IsNote, ReadOnlyMemory<byte> Bytes)> NextAsync(
        JobSocket socket, CancellationToken cancellation) =>
        await socket.ReadAsync(cancellation).ConfigureAwait(false)
            ?? throw new IOException("it has ended in the middle of the job");

    private static async Task WriteAsync(Stream to, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        try
        {
            await to.WriteAsync(bytes, cancellation).ConfigureAwait(false);
            await to.FlushAsync(cancellation).ConfigureAwait(false);
        }
        catch (IOException error)
        {
            throw new OutputException(error);
        }
    }

    private static async Task SendAsync(
        JobSocket socket, JobBytes whose, Stream from, CancellationToken cancellation)
    {
        byte[] buffer = new byte[Piece];
        int count;
        while ((count = await from.ReadAsync(buffer, cancellation).ConfigureAwait(false)) > 0)
        {
            await socket.SendAsync(whose, buffer.AsMemory(0, count), cancellation).ConfigureAwait(false);
        }
    }

    private static async Task SendInputAsync(JobSocket socket, Stream? input, CancellationToken over)
    {
        try
        {
            if (input is not null)
            {
                await SendAsync(socket, JobBytes.Input, input, over).ConfigureAwait(false);
            }

            await socket.SayAsync(new ClientNote(InputEnd: true), MessageContext.Default.ClientNote, over)
                .ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or ObjectDisposedException)
        {
            // The program has ended, or the reader of its answers learns why there is no connection.
        }
    }

    /// <summary>Connects and begins a WebSocket (RFC 6455, 4.1).</summary>
    private async Task<JobSocket> OpenAsync(string path, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(_answerLimit);
        var stream = new NetworkStream(address.Connect(), ownsSocket: true);
        try
        {
            string key = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
            string authorization = token is null ? string.Empty : $"Authorization: Bearer {token}\r\n";
            await stream.WriteAsync(
                Encoding.ASCII.GetBytes(
                    $"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        + $"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{authorization}\r\n"),
                limit.Token).ConfigureAwait(false);
            (int status, byte[] rest) = await ReadAnswerAsync(stream, limit.Token).ConfigureAwait(false);
            return status == Switching
                ? new JobSocket(WebSocket.CreateFromStream(stream, new WebSocketCreationOptions()))
                : throw new RefusedException(ReadProblem(status, rest));
        }
        catch (Exception error)
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            if (error is OperationCanceledException && !cancellation.IsCancellationRequested)
            {
                throw new IOException("it does not answer", error);
            }

            throw;
        }
    }

    /// <summary>The status, and the body of an answer that is no upgrade.</summary>
    private static async Task<(int Status, byte[] Body)> ReadAnswerAsync(
        NetworkStream stream, CancellationToken cancellation)
    {
        byte[] buffer = new byte[MostHeader + MostBody];
        int length = 0;
        int end;
        while ((end = buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8)) < 0 && length < MostHeader)
        {
            int count = await stream.ReadAsync(buffer.AsMemory(length, MostHeader - length), cancellation)
                .ConfigureAwait(false);
            length += count > 0 ? count : throw new IOException("it ends the connection at once");
        }

        string[] lines = Encoding.ASCII.GetString(buffer, 0, Math.Max(end, 0)).Split("\r\n");
        if (end < 0 || lines[0].Split(' ') is not ["HTTP/1.1", string number, ..]
            || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int status))
        {
            throw new IOException("its answer is no HTTP");
        }

        end += 4;
        while (status != Switching && length < buffer.Length && !IsWhole(lines, buffer.AsSpan(end, length - end)))
        {
            int count = await stream.ReadAsync(buffer.AsMemory(length), cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                break;
            }

            length += count;
        }

        return (status, buffer[end..length]);
    }

    private static bool IsWhole(string[] header, ReadOnlySpan<byte> body)
    {
        const string Length = "Content-Length: ";
        foreach (string line in header)
        {
            if (line.StartsWith(Length, StringComparison.OrdinalIgnoreCase)
                && int.TryParse(line.AsSpan(Length.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int n))
            {
                return body.Length >= n;
            }
        }

        // In chunks: the last is empty.
        return body.EndsWith("0\r\n\r\n"u8);
    }

    private static Problem ReadProblem(int status, byte[] body)
    {
        int begin = Array.IndexOf(body, (byte)'{');
        int end = Array.LastIndexOf(body, (byte)'}');
        try
        {
            if (begin >= 0 && end > begin && JsonSerializer.Deserialize(
                body.AsSpan(begin..(end + 1)), MessageContext.Default.Problem) is { } problem)
            {
                return problem;
            }
        }
        catch (JsonException)
        {
            // Not ours.
        }

        return new Problem(status, $"HTTP status {status}", null);
    }

    /// <summary>The server does not run it, or could not.</summary>
    private sealed class RefusedException(Problem problem, bool hasStarted = false) : Exception(problem.Error)
    {
        public Problem Problem => problem;

        /// <summary>The program ran already.</summary>
        public bool HasStarted => hasStarted;
    }

    private sealed class Remote(JobSocket socket) : IRunningProgram
    {
        public Task SignalAsync(int signal, CancellationToken cancellation) => socket.SayAsync(
            new ClientNote(Signal: signal), MessageContext.Default.ClientNote, cancellation);

        public Task ResizeAsync(int rows, int columns, CancellationToken cancellation) => socket.SayAsync(
            new ClientNote(Terminal: new TerminalEntry(rows, columns)), MessageContext.Default.ClientNote,
            cancellation);
    }
}

/// <summary>What goes in and out with a job on a server.</summary>
/// <param name="Streams">The program's.</param>
/// <param name="In">Files that are copied in.</param>
/// <param name="Out">Files that are copied out.</param>
/// <param name="Started">Called when the program runs; may be null.</param>
internal sealed record ServerJob(
    JobStreams Streams, IReadOnlyList<FileCopy> In, IReadOnlyList<FileCopy> Out, Action<IRunningProgram>? Started);

/// <summary>The server has no template of that name, or not as it is wanted.</summary>
internal sealed class NoTemplateException(string message) : Exception(message);

/// <summary>Not the connection is broken, but what the program's output goes to.</summary>
internal sealed class OutputException(IOException error) : IOException(error.Message, error);
