using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices.Network;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// The frames that wait at a VM's network device, a ring for each direction. Which of them mean something, the device's
/// totals say: what is left from a VM before is never read.
/// </summary>
public struct NetBuffers
{
    /// <summary>Frames of a ring, a power of two.</summary>
    public const int Frames = 8;

    private Ring _toGuest;
    private Ring _fromGuest;

    /// <summary>The frame of a total toward the guest.</summary>
    [UnscopedRef]
    public ref NetFrame ToGuest(uint total) => ref _toGuest[(int)(total % Frames)];

    /// <summary>The frame of a total that the guest sent.</summary>
    [UnscopedRef]
    public ref NetFrame FromGuest(uint total) => ref _fromGuest[(int)(total % Frames)];

    [InlineArray(Frames)]
    private struct Ring
    {
        private NetFrame _first;
    }
}

/// <summary>A frame in a ring.</summary>
public struct NetFrame
{
    private Room _bytes;
    private int _length;

    /// <summary>Its bytes.</summary>
    [UnscopedRef]
    public readonly ReadOnlySpan<byte> Bytes => ((ReadOnlySpan<byte>)_bytes).Slice(0, _length);

    /// <summary>Room for another one, of a length of at most <see cref="FrameRules.MostBytes"/>.</summary>
    [UnscopedRef]
    public Span<byte> Begin(int length)
    {
        _length = Math.Min(length, FrameRules.MostBytes);
        return ((Span<byte>)_bytes).Slice(0, _length);
    }

    [InlineArray(FrameRules.MostBytes)]
    private struct Room
    {
        private byte _first;
    }
}
