using System;
using System.IO;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Quietus.Traces.Packing;

namespace Quietus.Cli.Exec;

/// <summary>
/// Standard input whose reads can be cancelled. A thread reads it, since a read of a terminal or a pipe cannot be
/// called back; a little is read ahead, no more.
/// </summary>
internal sealed class StandardInput : ReadOnlyStream
{
    private const int Piece = 16 * 1024;
    private const int MostAhead = 4;

    private readonly Channel<byte[]> _pieces = Channel.CreateBounded<byte[]>(MostAhead);
    private ReadOnlyMemory<byte> _left;

    public StandardInput()
    {
        // It ends with the process.
        var thread = new Thread(ReadAll)
        {
            IsBackground = true,
            Name = "input",
        };
        thread.Start();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (_left.IsEmpty)
        {
            if (!await _pieces.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
            {
                return 0;
            }

            if (_pieces.Reader.TryRead(out byte[]? piece))
            {
                _left = piece;
            }
        }

        int count = Math.Min(buffer.Length, _left.Length);
        _left[..count].CopyTo(buffer);
        _left = _left[count..];
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(Span<byte> buffer) => throw new NotSupportedException();

    private void ReadAll()
    {
        try
        {
            using var handle = new SafeFileHandle((IntPtr)0, ownsHandle: false);
            using var input = new FileStream(handle, FileAccess.Read, bufferSize: 0);
            byte[] buffer = new byte[Piece];
            int count;
            while ((count = input.Read(buffer)) > 0)
            {
                _pieces.Writer.WriteAsync(buffer[..count]).AsTask().GetAwaiter().GetResult();
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException
            or ChannelClosedException)
        {
            // What cannot be read is at its end.
        }

        _pieces.Writer.TryComplete();
    }
}
