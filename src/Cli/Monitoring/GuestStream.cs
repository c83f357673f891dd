using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Wire;

namespace Quietus.Cli.Monitoring;

/// <summary>
/// One connection to a VM's port. At most <see cref="StreamMessage.Window"/> bytes wait here to be read; a machine that
/// sends more is broken, and the stream fails. One reader and one writer at a time.
/// </summary>
internal sealed class GuestStream(StreamClient client, int slot, uint number) : Stream
{
    /// <summary>Credit is given in portions: a message for each read would fill the wire.</summary>
    private const uint Portion = StreamMessage.Window / 4;

    private readonly TaskCompletionSource _accepted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private readonly Queue<byte[]> _received = new();
    private readonly byte[] _message = new byte[FrameFormat.MaximumPayload];
    private TaskCompletionSource _news = New();
    private int _position;
    private uint _sent;
    private uint _limit;
    private uint _arrived;
    private uint _taken;
    private uint _told;
    private bool _hasEnded;
    private Exception? _failure;

    public int Slot => slot;

    public uint Number => number;

    /// <summary>Complete when the guest has accepted; failed when it has not.</summary>
    public Task Accepted => _accepted.Task;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>The machine says something of this stream.</summary>
    public void Take(in StreamMessage message)
    {
        TaskCompletionSource news;
        lock (_lock)
        {
            switch (message.Kind)
            {
                case StreamKind.Accept:
                    _limit = message.Limit;
                    _accepted.TrySetResult();
                    break;
                case StreamKind.Credit when FlowMessage.IsLater(message.Limit, _limit):
                    _limit = message.Limit;
                    break;
                case StreamKind.Data:
                    _arrived += (uint)message.Payload.Length;
                    if (_arrived - _taken > StreamMessage.Window)
                    {
                        _failure ??= new IOException("the hypervisor sent more on a stream than it was allowed to");
                    }
                    else if (!message.Payload.IsEmpty)
                    {
                        _received.Enqueue(message.Payload.ToArray());
                    }

                    break;
                case StreamKind.Shut:
                    _hasEnded = true;
                    break;
                case StreamKind.Reset:
                    StreamEnd end = message.Payload.IsEmpty ? StreamEnd.ByGuest : message.End;
                    Exception error = StreamClient.Explain(end);
                    _hasEnded |= end == StreamEnd.Closed;
                    _failure ??= error;
                    _accepted.TrySetException(error);
                    _ = _accepted.Task.Exception;
                    break;
                default:
                    break;
            }

            news = _news;
            _news = New();
        }

        news.TrySetResult();
    }

    public void Fail(Exception failure)
    {
        TaskCompletionSource news;
        lock (_lock)
        {
            _failure ??= failure;
            news = _news;
            _news = New();
        }

        _accepted.TrySetException(failure);
        _ = _accepted.Task.Exception;
        news.TrySetResult();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (!buffer.IsEmpty)
        {
            Task news;
            int length = 0;
            uint? limit = null;
            lock (_lock)
            {
                while (length < buffer.Length && _received.TryPeek(out byte[]? piece))
                {
                    int count = Math.Min(buffer.Length - length, piece.Length - _position);
                    piece.AsSpan(_position, count).CopyTo(buffer.Span[length..]);
                    length += count;
                    _position += count;
                    if (_position == piece.Length)
                    {
                        _received.Dequeue();
                        _position = 0;
                    }
                }

                _taken += (uint)length;
                if (length == 0 && (_hasEnded || _failure is not null))
                {
                    return _hasEnded ? 0 : throw _failure!;
                }

                if (_taken - _told >= Portion && _failure is null)
                {
                    _told = _taken;
                    limit = _taken + StreamMessage.Window;
                }

                news = _news.Task;
            }

            if (limit is { } further)
            {
                byte[] credit = new byte[StreamMessage.HeaderBytes + sizeof(uint)];
                StreamMessage.WriteLimit(credit, slot, StreamKind.Credit, number, further);
                await client.SendAsync(credit, CancellationToken.None).ConfigureAwait(false);
            }

            if (length != 0)
            {
                return length;
            }

            await news.WaitAsync(cancellationToken).ConfigureAwait(false);
        }

        return 0;
    }

    public override async ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (!buffer.IsEmpty)
        {
            Task news;
            int length = 0;
            lock (_lock)
            {
                if (_failure is not null)
                {
                    throw _failure;
                }

                if (FlowMessage.IsLater(_limit, _sent))
                {
                    length = (int)Math.Min(Math.Min(_limit - _sent, StreamMessage.MostData), (uint)buffer.Length);
                    _sent += (uint)length;
                }

                news = _news.Task;
            }

            if (length == 0)
            {
                await news.WaitAsync(cancellationToken).ConfigureAwait(false);
                continue;
            }

            int at = StreamMessage.WriteHeader(_message, slot, StreamKind.Data, number);
            buffer[..length].CopyTo(_message.AsMemory(at));

            // Whole or not at all: half a message would put the count wrong.
            await client.SendAsync(_message.AsMemory(0, at + length), CancellationToken.None).ConfigureAwait(false);
            buffer = buffer[length..];
        }
    }

    /// <summary>Sends no more: the guest reads the end of the stream, and can go on sending.</summary>
    public Task ShutAsync(CancellationToken cancellation)
    {
        byte[] shut = new byte[StreamMessage.HeaderBytes];
        StreamMessage.WriteHeader(shut, slot, StreamKind.Shut, number);
        return client.SendAsync(shut, cancellation);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) =>
        ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override void Write(byte[] buffer, int offset, int count) =>
        WriteAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override async ValueTask DisposeAsync()
    {
        if (client.Forget(this))
        {
            byte[] reset = new byte[StreamMessage.HeaderBytes];
            StreamMessage.WriteHeader(reset, slot, StreamKind.Reset, number);
            try
            {
                await client.SendAsync(reset, CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception error) when (error is ObjectDisposedException or OperationCanceledException)
            {
                // The session is over, and the stream with it.
            }
        }

        Fail(new ObjectDisposedException(nameof(GuestStream)));
        await base.DisposeAsync().ConfigureAwait(false);
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
