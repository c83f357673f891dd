using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Wire;

namespace Quietus.Cli.Monitoring;

/// <summary>The host's end of the streams of <see cref="StreamMessage"/>: numbers them and hands messages on.</summary>
/// <param name="send">Sends a message on the stream channel.</param>
internal sealed class StreamClient(Func<ReadOnlyMemory<byte>, CancellationToken, Task> send) : IGuestStreams
{
    private readonly Dictionary<(int Slot, uint Stream), GuestStream> _streams = [];
    private readonly Lock _lock = new();
    private uint _last = StreamMessage.FirstStream - 1;
    private CliException? _failure;

    public async Task<Stream> ConnectAsync(int slot, long vm, uint port, CancellationToken cancellation)
    {
        GuestStream stream;
        lock (_lock)
        {
            if (_failure is not null)
            {
                throw _failure;
            }

            do
            {
                _last = _last == uint.MaxValue ? StreamMessage.FirstStream : _last + 1;
            }
            while (_streams.ContainsKey((slot, _last)));
            stream = new GuestStream(this, slot, _last);
            _streams.Add((slot, _last), stream);
        }

        try
        {
            byte[] open = new byte[FrameFormat.MaximumPayload];
            int length = StreamMessage.WriteOpen(
                open, slot, stream.Number, (ulong)vm, port, StreamMessage.Window);
            await SendAsync(open.AsMemory(0, length), cancellation).ConfigureAwait(false);
            await stream.Accepted.WaitAsync(cancellation).ConfigureAwait(false);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// The machine says something of a stream. What is none, or of a stream that is gone, is dropped.
    /// </summary>
    public void Take(ReadOnlySpan<byte> payload)
    {
        if (!StreamMessage.TryRead(payload, out StreamMessage message))
        {
            return;
        }

        GuestStream? stream;
        lock (_lock)
        {
            if (!_streams.TryGetValue((message.Slot, message.Stream), out stream))
            {
                return;
            }

            if (message.Kind == StreamKind.Reset)
            {
                _streams.Remove((message.Slot, message.Stream));
            }
        }

        stream.Take(in message);
    }

    /// <summary>The machine is gone: every stream fails with this.</summary>
    public void Fail(CliException failure)
    {
        GuestStream[] streams;
        lock (_lock)
        {
            _failure ??= failure;
            streams = [.. _streams.Values];
            _streams.Clear();
        }

        foreach (GuestStream stream in streams)
        {
            stream.Fail(failure);
        }
    }

    internal Task SendAsync(ReadOnlyMemory<byte> message, CancellationToken cancellation) =>
        send(message, cancellation);

    /// <summary>The stream is not used any more; true when the machine does not know yet.</summary>
    internal bool Forget(GuestStream stream)
    {
        lock (_lock)
        {
            return _streams.Remove((stream.Slot, stream.Number));
        }
    }

    /// <summary>The error of a stream that ended so.</summary>
    internal static GuestStreamException Explain(StreamEnd end) =>
        new(end, "the connection to the VM is over: " + Encoding.UTF8.GetString(StreamMessage.Explain(end)));
}
