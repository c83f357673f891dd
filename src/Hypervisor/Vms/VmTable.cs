using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Vms;

/// <summary>The VM slots: fixed memory, taken at boot. A VM that ended leaves an empty slot and nothing else.</summary>
/// <remarks>Invariant: _slots points at SlotCount slots of boot memory, from Initialize on.</remarks>
internal static unsafe class VmTable
{
    /// <summary>As many VMs at once as there are console channels (docs/protocol.md).</summary>
    internal const int SlotCount = 16;

    /// <summary>The guests' physical address space, where the machine's is not smaller.</summary>
    private const int PreferredIpaBits = 40;

    private static Vm* _slots;
    private static ulong _lastId;
    private static Stage2Geometry _geometry;

    /// <summary>The shape of every VM's Stage-2 table.</summary>
    internal static Stage2Geometry Geometry => _geometry;

    /// <summary>Bytes that <see cref="Initialize"/> takes of the boot memory, at most.</summary>
    internal static ulong Bytes => (ulong)sizeof(Vm) * SlotCount;

    internal static bool Initialize()
    {
        int bits = Math.Min(PreferredIpaBits, CpuFeatures.PhysicalAddressBits);
        _slots = (Vm*)Platform.Memory.Take(Bytes, 64);
        return _slots != null
            && Stage2Geometry.TryCreate<Arm<Granule4K>>(bits, CpuFeatures.PhysicalAddressBits, out _geometry);
    }

    /// <summary>The slot at an index below <see cref="SlotCount"/>, used or not.</summary>
    internal static Vm* At(int slot) => _slots + slot;

    /// <summary>How many slots are empty.</summary>
    internal static int FreeSlots
    {
        get
        {
            int free = 0;
            for (int slot = 0; slot < SlotCount; slot++)
            {
                free += At(slot)->Id == 0 ? 1 : 0;
            }

            return free;
        }
    }

    /// <summary>The VM with a number, or null.</summary>
    internal static Vm* Find(ulong id)
    {
        for (int slot = 0; slot < SlotCount && id != 0; slot++)
        {
            if (At(slot)->Id == id)
            {
                return At(slot);
            }
        }

        return null;
    }

    /// <summary>
    /// An empty slot, all zero but for a fresh number; null when all are used. Slots go round, so that what is still
    /// typed for a dead VM does not reach the next one.
    /// </summary>
    internal static Vm* Take()
    {
        for (uint i = 0; i < SlotCount; i++)
        {
            int slot = (int)((_lastId + i) % SlotCount);
            Vm* vm = At(slot);
            if (vm->Id == 0)
            {
                vm->Initialize(++_lastId, slot);
                return vm;
            }
        }

        return null;
    }
}
