using Quietus.Stage2;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// The hypervisor's own memory: one region, chosen at boot, given out from the bottom and never taken back. What needs
/// it is made at boot and lasts: tables of EL2, cores with their stacks, the VM slots, the frame pool's descriptors.
/// </summary>
/// <remarks>Only the boot core takes memory, before the other cores start; nothing is locked.</remarks>
internal unsafe struct BootMemory
{
    private ulong _next;
    private ulong _end;

    /// <param name="start">The region's first byte; identity-mapped and writable.</param>
    /// <param name="bytes">Its size.</param>
    internal BootMemory(ulong start, ulong bytes)
    {
        _next = start;
        _end = start + bytes;
    }

    /// <summary>Bytes that are left.</summary>
    internal readonly ulong Available => _end - _next;

    /// <summary>Takes zeroed memory; null when the region is used up, which the caller reports.</summary>
    /// <param name="bytes">How many.</param>
    /// <param name="alignment">A power of two.</param>
    internal void* Take(ulong bytes, ulong alignment)
    {
        ulong start = (_next + alignment - 1) & ~(alignment - 1);
        if (start > _end || bytes > _end - start)
        {
            return null;
        }

        _next = start + bytes;
        // Invariant: [start, start + bytes) lies in the region that the constructor's caller handed over, mapped and
        // unused.
        return Instructions.MemorySet((void*)start, 0, (nuint)bytes);
    }

    /// <summary>Takes one page of 4 KB.</summary>
    internal void* TakePage() => Take(4096, 4096);
}
