using System;
using System.Runtime.CompilerServices;
using Quietus.LinuxProgram;
using Quietus.Wire;

namespace Quietus.Agent.Jobs;

/// <summary>
/// The agent's end of one connection: the frame that is being read, and the one that is being sent. Nothing waits here:
/// what cannot go on now goes on when the descriptor says so.
/// </summary>
/// <remarks>Invariant: the buffers are static memory, whose addresses do not change.</remarks>
internal static unsafe class Link
{
    /// <summary>Bytes of a program's output, or of a file, that are sent at a time.</summary>
    internal const int PieceBytes = 16 * 1024;

    private static Buffer _in;
    private static Buffer _out;
    private static int _inLength;
    private static int _outStart;
    private static int _outEnd;

    private static byte* In => StaticMemory.AddressOf(ref _in);

    private static byte* Out => StaticMemory.AddressOf(ref _out);

    /// <summary>The descriptor.</summary>
    internal static int Descriptor { get; set; }

    /// <summary>Whether a frame still has to be sent: no other can be made then.</summary>
    internal static bool IsSending => _outStart != _outEnd;

    /// <summary>Whether there is room for more of what comes in.</summary>
    internal static bool HasRoom => _inLength < JobFrame.MaximumFrame;

    /// <summary>Where the next frame's payload can be put: <see cref="JobFrame.MaximumPayload"/> bytes.</summary>
    internal static byte* Payload => Out + JobFrame.HeaderBytes;

    /// <summary>Reads what has come. False: the host has gone.</summary>
    internal static bool TryReceive()
    {
        long length = SystemCalls.Read(
            Descriptor, In + _inLength, (ulong)(JobFrame.MaximumFrame - _inLength));
        _inLength += length > 0 ? (int)length : 0;
        return length is > 0 or SystemCalls.TryAgain;
    }

    /// <summary>The frame at the front. False: it is not whole yet, or (a length of -1) is none.</summary>
    internal static bool TryPeek(out JobKind kind, out byte* payload, out int length)
    {
        kind = default;
        length = 0;
        payload = In + JobFrame.HeaderBytes;
        if (_inLength < JobFrame.HeaderBytes)
        {
            return false;
        }

        if (!JobFrame.TryReadHeader(new ReadOnlySpan<byte>(In, JobFrame.HeaderBytes), out kind, out length))
        {
            length = -1;
            return false;
        }

        return _inLength - JobFrame.HeaderBytes >= length;
    }

    /// <summary>The frame at the front, of this length, is done with.</summary>
    internal static void Drop(int length)
    {
        int whole = JobFrame.HeaderBytes + length;
        _inLength -= whole;
        byte* start = In;
        new ReadOnlySpan<byte>(start + whole, _inLength).CopyTo(new Span<byte>(start, _inLength));
    }

    /// <summary>Sends a frame whose payload is in <see cref="Payload"/>. False: the host has gone.</summary>
    internal static bool TrySend(JobKind kind, int length)
    {
        JobFrame.WriteHeader(new Span<byte>(Out, JobFrame.HeaderBytes), kind, length);
        _outStart = 0;
        _outEnd = JobFrame.HeaderBytes + length;
        return TryGoOn();
    }

    /// <summary>Sends a frame that a writer has written into <see cref="Payload"/>.</summary>
    internal static bool TrySend(JobKind kind, scoped in PayloadWriter written) =>
        TrySend(kind, written.Written.Length);

    /// <summary>A writer into <see cref="Payload"/>.</summary>
    internal static PayloadWriter Writer() => new(new Span<byte>(Payload, JobFrame.MaximumPayload));

    /// <summary>Sends the rest of the frame, as far as it can be sent now. False: the host has gone.</summary>
    internal static bool TryGoOn()
    {
        while (IsSending)
        {
            long length = SystemCalls.Write(Descriptor, Out + _outStart, (ulong)(_outEnd - _outStart));
            if (length < 0)
            {
                return length == SystemCalls.TryAgain;
            }

            _outStart += (int)length;
        }

        return true;
    }

    [InlineArray(JobFrame.MaximumFrame)]
    private struct Buffer
    {
        private byte _first;
    }
}
