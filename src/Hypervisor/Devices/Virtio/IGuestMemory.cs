using System;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// A guest's memory as one of its devices reaches it: by intermediate physical address, each access checked. What is
/// no memory of the guest's is refused, also when only the last byte is none. A type parameter, so that nothing is
/// virtual: at EL2 the VM's own faults and tables, in tests plain memory.
/// </summary>
public interface IGuestMemory
{
    /// <summary>Whether all of the bytes are memory of the guest's, in one piece. None at all are not.</summary>
    bool Contains(ulong address, ulong bytes);

    /// <summary>Copies out of guest memory. False: not all of it is the guest's, or there is no page for it.</summary>
    bool TryRead(ulong address, scoped Span<byte> destination);

    /// <summary>Copies into guest memory. False: as <see cref="TryRead"/>; a part may have been written then.</summary>
    bool TryWrite(ulong address, scoped ReadOnlySpan<byte> source);

    /// <summary>What was read and written before is so for every core before what comes after (DMB ISH).</summary>
    void Fence();
}
