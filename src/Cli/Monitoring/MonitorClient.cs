using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Terminals;
using Quietus.Wire;
using WireChannel = Quietus.Wire.Channel;

namespace Quietus.Cli.Monitoring;

/// <summary>
/// The host's end of the wire: asks and gets answers, and hands on what the machine says unasked, in order. When the
/// machine panics, ends or falls silent, whatever is being waited for fails with an error that says so.
/// </summary>
internal sealed class MonitorClient : IAsyncDisposable
{
    /// <summary>A fault report comes in several frames; after the last one the machine says nothing more.</summary>
    private static readonly TimeSpan _panicSettles = TimeSpan.FromMilliseconds(400);

    /// <summary>How long one delimiter is given to wake the monitor before the next is sent.</summary>
    private static readonly TimeSpan _knock = TimeSpan.FromMilliseconds(100);

    /// <summary>How much text from before the first frame is kept for the error report.</summary>
    private const int MostNoise = 16 * 1024;

    /// <summary>Messages that may wait to be read before a guest's reports are dropped.</summary>
    private const int MostUnread = 10_000;

    private readonly Stream _toMachine;
    private readonly Stream _fromMachine;
    private readonly Func<Task<CliException>> _explainEnd;
    private readonly Channel<MachineMessage> _messages = System.Threading.Channels.Channel
        .CreateUnbounded<MachineMessage>(new UnboundedChannelOptions { SingleWriter = true });

    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _oneRequest = new(1);
    private readonly SemaphoreSlim _oneWriter = new(1);
    private readonly CancellationTokenSource _stop = new();
    private readonly StringBuilder _noise = new();
    private readonly StringBuilder _panic = new();
    private readonly Lock _lock = new();
    private readonly ConsoleFlow _flow = new();
    private readonly FlowingReader _reading;
    private readonly byte[] _frame = new byte[FrameFormat.MaximumFrame];

    private List<KeyValueLine> _items = [];
    private TaskCompletionSource<MonitorReply>? _pending;
    private CliException? _failure;
    private FrameDecoder _decoder;
    private byte _sequence;
    private Task? _reader;

    /// <summary>Makes a client; nothing is read or written before <see cref="ConnectAsync"/>.</summary>
    /// <param name="toMachine">The machine's input: its serial port, or its UART.</param>
    /// <param name="fromMachine">The machine's output.</param>
    /// <param name="explainEnd">Says why the output has ended, when it does.</param>
    public MonitorClient(Stream toMachine, Stream fromMachine, Func<Task<CliException>> explainEnd)
    {
        _toMachine = toMachine;
        _fromMachine = fromMachine;
        _explainEnd = explainEnd;
        _reading = new FlowingReader(this);
        Streams = new StreamClient((message, cancellation) => SendAsync(WireChannel.Stream, message, cancellation));
    }

    /// <summary>Connections to ports of VMs.</summary>
    public StreamClient Streams { get; }

    /// <summary>Frames that came whole.</summary>
    public long FramesReceived => _decoder.Frames;

    /// <summary>Frames that came damaged.</summary>
    public long FramesDamaged => _decoder.DamagedFrames;

    /// <summary>Frames that were sent and did not come, the damaged ones among them.</summary>
    public long FramesLost => _decoder.LostFrames;

    /// <summary>
    /// What the machine says unasked. Ends with the error when the machine fails. What is not read makes a guest that
    /// prints wait, so that no more than a window of its output is held here.
    /// </summary>
    public ChannelReader<MachineMessage> Messages => _reading;

    /// <summary>Reports of guests that were dropped, because too many waited to be read.</summary>
    public long ReportsDropped { get; private set; }

    /// <summary>Complete when the machine's output has ended, for whatever reason.</summary>
    public Task Ended => _ended.Task;

    /// <summary>
    /// Switches the monitor to frames and waits until it is ready. The delimiter that does it is repeated, because a
    /// machine that has not set up its UART yet loses it.
    /// </summary>
    public async Task ConnectAsync(TimeSpan limit, CancellationToken cancellation)
    {
        _reader = Task.Run(ReadAsync, CancellationToken.None);
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(limit);
        try
        {
            while (!_ready.Task.IsCompleted)
            {
                await WriteAsync(new byte[] { FrameFormat.Delimiter }, timer.Token).ConfigureAwait(false);
                await Task.WhenAny(_ready.Task, Task.Delay(_knock, timer.Token)).ConfigureAwait(false);
                timer.Token.ThrowIfCancellationRequested();
            }

            await _ready.Task.ConfigureAwait(false);

            // From now on the machine sends no more output than is read here.
            byte[] begin = new byte[FlowMessage.Length];
            FlowMessage.Write(begin, 0, 0);
            await SendAsync(WireChannel.Flow, begin, timer.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw Fail(TimedOut("the hypervisor does not come up", limit));
        }
    }

    /// <summary>
    /// Sends a command and waits for its answer. An error answer is a <see cref="MonitorException"/>; no answer in
    /// time, a panic or the machine's end is a <see cref="CliException"/>.
    /// </summary>
    public async Task<MonitorReply> RequestAsync(string command, TimeSpan limit, CancellationToken cancellation)
    {
        await _oneRequest.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            byte[] bytes = Encoding.UTF8.GetBytes(command);
            if (bytes.Length > FrameFormat.MaximumPayload)
            {
                throw new MonitorException(string.Create(
                    CultureInfo.InvariantCulture,
                    $"the command is {bytes.Length} bytes long; the monitor takes {FrameFormat.MaximumPayload}"));
            }

            var answer = new TaskCompletionSource<MonitorReply>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_lock)
            {
                if (_failure is not null)
                {
                    throw _failure;
                }

                _items = [];
                _pending = answer;
            }

            await SendAsync(WireChannel.Monitor, bytes, cancellation).ConfigureAwait(false);
            try
            {
                return await answer.Task.WaitAsync(limit, cancellation).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                throw Fail(TimedOut($"no answer to '{Verb(command)}'", limit));
            }
        }
        finally
        {
            lock (_lock)
            {
                _pending = null;
            }

            _oneRequest.Release();
        }
    }

    /// <summary>Sends input to a VM's console, no faster than the guest takes it.</summary>
    public async Task SendConsoleAsync(int slot, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        while (!bytes.IsEmpty)
        {
            int length = await _flow.ReserveAsync(
                slot, Math.Min(bytes.Length, FrameFormat.MaximumPayload), cancellation).ConfigureAwait(false);
            await SendAsync(FrameFormat.Console(slot), bytes[..length], cancellation).ConfigureAwait(false);
            bytes = bytes[length..];
        }
    }

    private async Task TellAsync(byte[] message)
    {
        try
        {
            await SendAsync(WireChannel.Flow, message, _stop.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
        {
            // The session has ended.
        }
    }

    /// <summary>Makes every wait fail with this error, the first one that was given.</summary>
    public CliException Fail(CliException failure)
    {
        TaskCompletionSource<MonitorReply>? pending;
        lock (_lock)
        {
            _failure ??= failure;
            failure = _failure;
            pending = _pending;
        }

        _ready.TrySetException(failure);
        pending?.TrySetException(failure);
        _messages.Writer.TryComplete(failure);
        Streams.Fail(failure);

        // Often no caller waits for these.
        _ = _ready.Task.Exception;
        _ = pending?.Task.Exception;
        return failure;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        if (_reader is not null)
        {
            // The caller has ended the machine: the pipe is closed and the reader sees its end.
            await Task.WhenAny(_reader, Task.Delay(2000)).ConfigureAwait(false);
        }

        _stop.Dispose();
        _oneRequest.Dispose();
        _oneWriter.Dispose();
    }

    private static string Verb(string command) => command.Split(' ', 2)[0];

    private CliException TimedOut(string what, TimeSpan limit)
    {
        string frames = FramesDamaged + FramesLost == 0
            ? string.Empty
            : $"; {Counted.Of(FramesDamaged, "frame")} came damaged, {Counted.Of(FramesLost, "was", "were")} lost";
        return new CliException(
            ExitCode.TimeLimit,
            string.Create(
                CultureInfo.InvariantCulture, $"time limit: {what} within {limit.TotalSeconds:0.#} s{frames}"),
            "a slow or busy host may need more: --timeout SECONDS",
            Noise());
    }

    /// <summary>Text of the machine's that is no frame, for an error report.</summary>
    public void NoteText(string text)
    {
        lock (_noise)
        {
            if (_noise.Length < MostNoise)
            {
                _noise.Append(text);
            }
        }
    }

    private string? Noise()
    {
        lock (_noise)
        {
            return _noise.Length == 0 ? null : _noise.ToString();
        }
    }

    private async Task SendAsync(WireChannel channel, ReadOnlyMemory<byte> payload, CancellationToken cancellation)
    {
        await _oneWriter.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            int length = new FrameEncoder(channel, _sequence++, payload.Span).WriteTo(_frame);
            await WriteRawAsync(_frame.AsMemory(0, length), cancellation).ConfigureAwait(false);
        }
        finally
        {
            _oneWriter.Release();
        }
    }

    private async Task WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        await _oneWriter.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await WriteRawAsync(bytes, cancellation).ConfigureAwait(false);
        }
        finally
        {
            _oneWriter.Release();
        }
    }

    private async Task WriteRawAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        try
        {
            await _toMachine.WriteAsync(bytes, cancellation).ConfigureAwait(false);
            await _toMachine.FlushAsync(cancellation).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // The machine is gone. The reader finds out why, and a caller that waits for an answer is told.
        }
    }

    private async Task ReadAsync()
    {
        byte[] received = new byte[16 * 1024];
        byte[] body = new byte[FrameFormat.MaximumBody];
        try
        {
            int count;
            while ((count = await _fromMachine.ReadAsync(received, _stop.Token).ConfigureAwait(false)) > 0)
            {
                Take(received.AsSpan(0, count), body);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The end of the stream in another form.
        }

        // Before anything can fail: who ends the machine on purpose waits for this, and is not told an error.
        _ended.TrySetResult();
        if (_stop.IsCancellationRequested)
        {
            return;
        }

        Fail(_panic.Length > 0 ? Panicked() : await _explainEnd().ConfigureAwait(false));
    }

    private void Take(ReadOnlySpan<byte> received, byte[] body)
    {
        foreach (byte value in received)
        {
            switch (_decoder.Feed(value, body))
            {
                case DecodeStep.Frame:
                    Dispatch(_decoder.Channel, _decoder.Payload(body));
                    break;
                case DecodeStep.Noise:
                    NoteText(((char)value).ToString());
                    break;
                default:
                    break;
            }
        }
    }

    private void Dispatch(WireChannel channel, ReadOnlySpan<byte> payload)
    {
        if (FrameFormat.IsConsole(channel, out int slot))
        {
            _messages.Writer.TryWrite(new ConsoleOutput(slot, payload.ToArray()));
            return;
        }

        if (channel == WireChannel.Flow)
        {
            _flow.Take(payload);
            return;
        }

        if (channel == WireChannel.Stream)
        {
            Streams.Take(payload);
            return;
        }

        string text = Encoding.UTF8.GetString(payload);
        if (channel == WireChannel.Panic)
        {
            TakePanic(text);
            return;
        }

        foreach (string piece in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string line = piece.TrimEnd('\r');
            switch (channel)
            {
                case WireChannel.Log:
                    _messages.Writer.TryWrite(new LogLine(line));
                    break;
                case WireChannel.Monitor:
                    TakeReply(line);
                    break;
                case WireChannel.Event:
                    TakeEvent(line);
                    break;
                default:
                    // A channel of a newer hypervisor.
                    break;
            }
        }
    }

    private void TakeReply(string text)
    {
        KeyValueLine line = KeyValueLine.Parse(text);
        lock (_lock)
        {
            switch (line.Verb)
            {
                case "-":
                    _items.Add(line);
                    break;
                case "ok":
                    _pending?.TrySetResult(new MonitorReply(_items, line));
                    break;
                case "error":
                    _pending?.TrySetException(new MonitorException(
                        line.Value("message") ?? Printable.Line(text), line.Value("code")));
                    break;
                default:
                    break;
            }
        }
    }

    private void TakeEvent(string text)
    {
        KeyValueLine line = KeyValueLine.Parse(text);
        string name = line.Value("event") ?? line.Verb;
        if (name == "ready")
        {
            _ready.TrySetResult();
        }

        if (name == "report" && _messages.Reader.Count > MostUnread)
        {
            ReportsDropped++;
            return;
        }

        _messages.Writer.TryWrite(new MachineEvent(name, line));
    }

    private void TakePanic(string text)
    {
        bool first = _panic.Length == 0;
        _panic.Append(text);
        if (!text.EndsWith('\n'))
        {
            _panic.Append('\n');
        }

        if (first)
        {
            _ = Task.Run(async () =>
            {
                await Task.Delay(_panicSettles).ConfigureAwait(false);
                Fail(Panicked());
            });
        }
    }

    private CliException Panicked() => new(
        ExitCode.Failed,
        "the hypervisor has panicked",
        "please report it with the text above and the command that led to it",
        _panic.ToString());

    /// <summary>Tells the machine what output has been read.</summary>
    private sealed class FlowingReader(MonitorClient client) : ChannelReader<MachineMessage>
    {
        private readonly ChannelReader<MachineMessage> _inner = client._messages.Reader;

        public override Task Completion => _inner.Completion;

        public override bool TryRead([MaybeNullWhen(false)] out MachineMessage item)
        {
            if (!_inner.TryRead(out item))
            {
                return false;
            }

            if (item is ConsoleOutput output && client._flow.Read(output.Slot, output.Bytes.Length) is byte[] message)
            {
                _ = client.TellAsync(message);
            }

            return true;
        }

        public override ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken = default) =>
            _inner.WaitToReadAsync(cancellationToken);
    }
}
