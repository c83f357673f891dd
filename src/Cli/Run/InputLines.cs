using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;

namespace Quietus.Cli.Run;

/// <summary>The input of a run with one VM after the other: by lines between VMs, by pieces within one.</summary>
/// <param name="pieces">What is typed or piped in.</param>
/// <param name="isTerminal">A line ends in a carriage return, as the key Enter gives it, and says no more.</param>
internal sealed class InputLines(ChannelReader<byte[]> pieces, bool isTerminal)
{
    private const byte EndOfText = 0x03; // Ctrl-C
    private const byte EndOfInput = 0x04; // Ctrl-D

    private readonly Queue<byte> _rest = [];

    /// <summary>
    /// Waits for a line, and returns it with its end; null where there is none left, or a person wants no more. Of a
    /// terminal's line only the end is returned: nothing that is typed before it can be seen.
    /// </summary>
    public async Task<byte[]?> NextAsync(CancellationToken cancellation)
    {
        List<byte> line = [];
        while (await FillAsync(cancellation).ConfigureAwait(false))
        {
            byte key = _rest.Dequeue();
            if (isTerminal && key is EndOfText or EndOfInput)
            {
                return null;
            }

            line.Add(key);
            if (key == (isTerminal ? (byte)'\r' : (byte)'\n'))
            {
                return isTerminal ? [key] : [.. line];
            }
        }

        return line.Count == 0 || isTerminal ? null : [.. line, (byte)'\n'];
    }

    /// <summary>Waits for something for the VM that runs; null at the input's end.</summary>
    public async Task<byte[]?> PieceAsync(CancellationToken cancellation)
    {
        if (!await FillAsync(cancellation).ConfigureAwait(false))
        {
            return null;
        }

        byte[] piece = [.. _rest];
        _rest.Clear();
        return piece;
    }

    private async Task<bool> FillAsync(CancellationToken cancellation)
    {
        while (_rest.Count == 0)
        {
            if (!await pieces.WaitToReadAsync(cancellation).ConfigureAwait(false))
            {
                return false;
            }

            if (pieces.TryRead(out byte[]? piece))
            {
                Array.ForEach(piece, _rest.Enqueue);
            }
        }

        return true;
    }
}
