using System;
using System.Buffers;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Monitoring;
using Quietus.Wire;

namespace Quietus.Cli.Jobs;

/// <summary>A frame from the agent.</summary>
/// <param name="Kind">One of the agent's kinds.</param>
/// <param name="Payload">Good until the next frame is read.</param>
internal readonly record struct JobMessage(JobKind Kind, ReadOnlyMemory<byte> Payload);

/// <summary>The guest says what no agent says: it is broken, or hostile.</summary>
internal sealed class JobProtocolException(string message) : IOException(message);

/// <summary>
/// The host's end of one conversation with the agent of a VM (docs/agent.md). The guest is hostile: a frame has a
/// bound, a kind is the agent's or an error, and nothing here grows with what it sends.
/// </summary>
/// <param name="stream">To the agent's port.</param>
/// <param name="vm">Which VM it has to be.</param>
internal sealed class JobConnection(Stream stream, long vm) : IAsyncDisposable
{
    private readonly SemaphoreSlim _oneWriter = new(1);
    private byte[] _incoming = new byte[4096];
    private byte[] _outgoing = new byte[4096];
    private bool _isGreeted;

    /// <summary>Connects to the agent of a VM.</summary>
    public static async Task<JobConnection> OpenAsync(
        IGuestStreams streams, int slot, long vm, CancellationToken cancellation) =>
        new(await streams.ConnectAsync(slot, vm, JobFrame.Port, cancellation).ConfigureAwait(false), vm);

    /// <summary>Fills in a payload of at most so many bytes.</summary>
    public delegate void Payload(ref PayloadWriter to);

    /// <summary>
    /// The next frame; null at the stream's end. The greeting is read and checked on the way. A
    /// <see cref="JobProtocolException"/> when it is none; the stream's own errors as they are.
    /// </summary>
    public async Task<JobMessage?> ReadAsync(CancellationToken cancellation)
    {
        JobMessage? message = await ReadFrameAsync(cancellation).ConfigureAwait(false);
        if (_isGreeted || message is null)
        {
            return message;
        }

        if (message.Value.Kind != JobKind.Hello || !JobHello.TryRead(message.Value.Payload.Span, out JobHello hello))
        {
            throw new JobProtocolException("what listens in the VM is no agent: it does not greet");
        }

        if (hello.Version != JobFrame.Version)
        {
            throw new JobProtocolException(
                $"the VM's agent speaks version {hello.Version} of the protocol, this program {JobFrame.Version}");
        }

        if (hello.Vm != 0 && hello.Vm != (ulong)vm)
        {
            throw new JobProtocolException($"the agent of VM {vm} says that it is in VM {hello.Vm}");
        }

        _isGreeted = true;
        return await ReadFrameAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Sends a frame with this payload; waits until the guest takes it.</summary>
    public async Task SendAsync(JobKind kind, ReadOnlyMemory<byte> payload, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(payload.Length, JobFrame.MaximumPayload);
        await _oneWriter.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            int length = JobFrame.HeaderBytes + payload.Length;
            Grow(ref _outgoing, length);
            JobFrame.WriteHeader(_outgoing, kind, payload.Length);
            payload.CopyTo(_outgoing.AsMemory(JobFrame.HeaderBytes));
            await stream.WriteAsync(_outgoing.AsMemory(0, length), cancellation).ConfigureAwait(false);
        }
        finally
        {
            _oneWriter.Release();
        }
    }

    /// <summary>Sends a frame whose payload the caller writes.</summary>
    /// <exception cref="ArgumentException">It is too large, or a text has a 0 in it.</exception>
    public async Task SendAsync(JobKind kind, Payload write, CancellationToken cancellation)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(JobFrame.MaximumPayload);
        try
        {
            int length = Fill(buffer.AsSpan(0, JobFrame.MaximumPayload), write);
            await SendAsync(kind, buffer.AsMemory(0, length), cancellation).ConfigureAwait(false);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stream.DisposeAsync().ConfigureAwait(false);
        _oneWriter.Dispose();
    }

    private static int Fill(Span<byte> buffer, Payload write)
    {
        var to = new PayloadWriter(buffer);
        write(ref to);
        return to.Overflowed
            ? throw new ArgumentException(
                $"arguments and environment, or a name, are longer than {JobFrame.MaximumPayload} bytes, or have a 0")
            : to.Written.Length;
    }

    private static void Grow(ref byte[] buffer, int length)
    {
        if (buffer.Length < length)
        {
            buffer = new byte[JobFrame.MaximumFrame];
        }
    }

    private async Task<JobMessage?> ReadFrameAsync(CancellationToken cancellation)
    {
        int got = await stream.ReadAtLeastAsync(
            _incoming.AsMemory(0, JobFrame.HeaderBytes), JobFrame.HeaderBytes, throwOnEndOfStream: false, cancellation)
            .ConfigureAwait(false);
        if (got == 0)
        {
            return null;
        }

        if (got < JobFrame.HeaderBytes)
        {
            throw new JobProtocolException("the agent's answer ends in the middle of a frame");
        }

        if (!JobFrame.TryReadHeader(_incoming, out JobKind kind, out int length)
            || kind is < JobKind.Hello or > JobKind.Pong)
        {
            throw new JobProtocolException("the agent's answer is none: a frame has a length or a kind that cannot be");
        }

        Grow(ref _incoming, length);
        got = await stream.ReadAtLeastAsync(
            _incoming.AsMemory(0, length), length, throwOnEndOfStream: false, cancellation).ConfigureAwait(false);
        return got < length
            ? throw new JobProtocolException("the agent's answer ends in the middle of a frame")
            : new JobMessage(kind, _incoming.AsMemory(0, length));
    }
}
