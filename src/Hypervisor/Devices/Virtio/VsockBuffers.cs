using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// The bytes that wait in a VM's streams, a ring for each stream and direction. Which of them mean something, the
/// streams' totals say: what is left from a VM before is never read. So the rings are not part of the VM, whose birth
/// and death would have to pass over them.
/// </summary>
public struct VsockBuffers
{
    /// <summary>Bytes of a ring, a power of two.</summary>
    public const int RingBytes = 4096;

    private Rings _toGuest;
    private Rings _toHost;

    /// <summary>
    /// The part of a stream's ring toward the guest that begins at a total, as far as it lies in one piece.
    /// </summary>
    [UnscopedRef]
    public Span<byte> ToGuest(int stream, uint total, int length) => Part(ref _toGuest[stream], total, length);

    /// <summary>The same of its ring toward the host.</summary>
    [UnscopedRef]
    public Span<byte> ToHost(int stream, uint total, int length) => Part(ref _toHost[stream], total, length);

    private static Span<byte> Part(ref Ring ring, uint total, int length)
    {
        int start = (int)(total % RingBytes);
        Span<byte> all = ring;
        return all.Slice(start, Math.Min(length, RingBytes - start));
    }

    [InlineArray(RingBytes)]
    private struct Ring
    {
        private byte _first;
    }

    [InlineArray(VirtioVsock.MostStreams)]
    private struct Rings
    {
        private Ring _first;
    }
}
