using System;
using System.Runtime.CompilerServices;

namespace Quietus.Simulator;

/// <summary>
/// What the caches hold of data memory, by 4 KB frame: nothing, clean lines or dirty ones. Frames leave by themselves
/// in the order in which they came in, when the caches of all sockets are full.
/// </summary>
/// <remarks>
/// One byte for each frame, in regions of 1 GB that exist only where memory was touched. Simpler than a cache: whole
/// frames, no sets, first in first out; all that is asked of it is which lines a DC finds dirty.
/// </remarks>
internal sealed class CacheLines
{
    private const int RegionShift = 30;
    private const int FrameShift = 12;
    private const ulong FrameBytes = 1UL << FrameShift;
    private const int FramesPerRegion = 1 << (RegionShift - FrameShift);

    private const byte Absent = 0;
    private const byte Clean = 1;
    private const byte Dirty = 2;

    private readonly byte[]?[] _regions;
    private readonly uint[] _order;
    private readonly ulong _socketBytes;
    private readonly int _lastSocket;
    private readonly int _linesPerFrame;
    private int _next;

    /// <param name="preset">The machine.</param>
    /// <param name="end">Where physical addresses end.</param>
    internal CacheLines(MachinePreset preset, ulong end)
    {
        _regions = new byte[]?[(end + (1UL << RegionShift) - 1) >> RegionShift];
        _lastSocket = preset.Sockets - 1;
        _socketBytes = preset.MemoryBytes / (ulong)preset.Sockets;
        _linesPerFrame = (int)Math.Max(1, FrameBytes / preset["line"]);
        _order = new uint[(int)Math.Clamp(preset["cache"] * preset.Sockets / FrameBytes, 1, int.MaxValue / 8)];
    }

    /// <summary>The socket that a frame's memory hangs on. Sockets have equal shares, one after the other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal int SocketOf(ulong address)
    {
        if (_lastSocket == 0 || address < _socketBytes)
        {
            return 0;
        }

        return _lastSocket == 1 ? 1 : (int)Math.Min(address / _socketBytes, (ulong)_lastSocket);
    }

    /// <summary>Cacheable stores to all of a range.</summary>
    internal void Write(ulong start, ulong bytes) => Bring(start, bytes, Dirty);

    /// <summary>Cacheable loads of a range.</summary>
    internal void Read(ulong start, ulong bytes) => Bring(start, bytes, Clean);

    /// <summary>DC CIVAC on each line of a range.</summary>
    internal void CleanInvalidate(Meter meter, ulong start, ulong bytes) => Maintain(meter, start, bytes, Absent);

    /// <summary>Whether a cache holds lines of a frame dirty.</summary>
    internal bool IsDirty(ulong address) =>
        _regions[address >> RegionShift] is { } region && region[IndexOf(address)] == Dirty;

    private void Maintain(Meter meter, ulong start, ulong bytes, byte after)
    {
        long dirty = 0;
        ulong end = start + bytes;
        for (ulong at = start; at < end;)
        {
            ulong stop = Math.Min(end, (at | ((1UL << RegionShift) - 1)) + 1);
            byte[]? region = _regions[at >> RegionShift];
            if (region != null)
            {
                int index = IndexOf(at);
                int frames = (int)((stop - at + FrameBytes - 1) >> FrameShift);
                if (frames == 1)
                {
                    ref byte state = ref region[index];
                    dirty += state >> 1;
                    state = state != Absent ? after : state;
                }
                else
                {
                    dirty += Maintain(region.AsSpan(index, frames), after);
                }
            }

            at = stop;
        }

        long lines = (long)(bytes >> FrameShift) * _linesPerFrame;
        meter.LinesDirty += dirty * _linesPerFrame;
        if (SocketOf(start) == meter.Socket)
        {
            meter.LinesLocal += lines;
        }
        else
        {
            meter.LinesRemote += lines;
        }
    }

    private static long Maintain(Span<byte> states, byte after)
    {
        long dirty = states.Count(Dirty);
        if (after == Absent)
        {
            states.Clear();
        }
        else
        {
            states.Replace(Dirty, after);
        }

        return dirty;
    }

    private void Bring(ulong start, ulong bytes, byte state)
    {
        for (ulong at = start; at < start + bytes; at += FrameBytes)
        {
            byte[] region = _regions[at >> RegionShift] ??= new byte[FramesPerRegion];
            ref byte now = ref region[IndexOf(at)];
            if (now == Absent)
            {
                Enter((uint)(at >> FrameShift));
            }

            // An evicted frame of the same region may have been this one's neighbour, never itself.
            now = now > state ? now : state;
        }
    }

    /// <summary>A frame comes in, and the one that has been there longest goes, written back if it was dirty.</summary>
    private void Enter(uint frame)
    {
        ref uint slot = ref _order[_next];
        _next = _next + 1 == _order.Length ? 0 : _next + 1;
        if (slot != 0)
        {
            ulong old = (ulong)slot << FrameShift;
            _regions[old >> RegionShift]![IndexOf(old)] = Absent;
        }

        slot = frame;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int IndexOf(ulong address) => (int)(address >> FrameShift) & (FramesPerRegion - 1);
}
