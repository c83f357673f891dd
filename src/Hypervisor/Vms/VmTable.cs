using System;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Memory;
using Quietus.Stage2;
using Quietus.Wire;

namespace Quietus.Hypervisor.Vms;

/// <summary>
/// The VM slots. The first ones are boot memory; when all are used, a chunk of the pool becomes more of them, and stays
/// that. A VM that ended leaves an empty slot and nothing else. The monitor's core alone takes and gives.
/// </summary>
/// <remarks>
/// Invariant: _slots has SlotCount pointers, the first Made of them to slots, which are never moved; _next has
/// SlotCount links, _buckets as many as Buckets; all are boot memory, from Initialize on.
/// A link is a slot's number and 1 more, or 0.
/// </remarks>
internal static unsafe class VmTable
{
    /// <summary>As many VMs at once as messages can name (docs/protocol.md).</summary>
    internal const int SlotCount = FrameFormat.Slots;

    /// <summary>Slots that are there from the boot on.</summary>
    private const int FirstSlots = 16;

    /// <summary>Lists of VMs by number. Numbers are given in turn, so that they are spread evenly.</summary>
    private const int Buckets = 1024;

    /// <summary>The guests' physical address space, where the machine's is not smaller.</summary>
    private const int PreferredIpaBits = 40;

    private static Vm** _slots;
    private static ushort* _next;
    private static ushort* _buckets;
    private static ushort _firstFree;
    private static ushort _lastFree;
    private static int _used;
    private static VmFrames _frames;
    private static ulong _lastId;
    private static Stage2Geometry _geometry;
    private static SlotSet _leaving;

    /// <summary>The shape of every VM's Stage-2 table.</summary>
    internal static Stage2Geometry Geometry => _geometry;

    /// <summary>Slots of VMs that have stopped, or are to be frozen, without an order of the monitor's.</summary>
    internal static ref SlotSet Leaving => ref _leaving;

    /// <summary>Chunks that are slots.</summary>
    internal static ref VmFrames Frames => ref _frames;

    /// <summary>How many slots there are: those below this number.</summary>
    internal static int Made { get; private set; }

    /// <summary>How many more VMs can be numbered. There may not be memory for all of them.</summary>
    internal static int FreeSlots => SlotCount - _used;

    /// <summary>Bytes that <see cref="Initialize"/> takes of the boot memory, at most.</summary>
    internal static ulong Bytes =>
        ((ulong)sizeof(Vm) * FirstSlots) + (SlotCount * (8 + sizeof(ushort))) + (Buckets * sizeof(ushort)) + 256;

    internal static bool Initialize()
    {
        int bits = Math.Min(PreferredIpaBits, CpuFeatures.PhysicalAddressBits);
        _slots = (Vm**)Platform.Memory.Take(SlotCount * 8, 64);
        _next = (ushort*)Platform.Memory.Take(SlotCount * sizeof(ushort), 64);
        _buckets = (ushort*)Platform.Memory.Take(Buckets * sizeof(ushort), 64);
        Vm* first = (Vm*)Platform.Memory.Take((ulong)sizeof(Vm) * FirstSlots, 64);
        if (_slots == null || _next == null || _buckets == null || first == null)
        {
            return false;
        }

        AddSlots(first, FirstSlots);
        return Platform.Pool.Adopt(ref _frames, 12) == PoolResult.Ok
            && Stage2Geometry.TryCreate<Arm<Granule4K>>(bits, CpuFeatures.PhysicalAddressBits, out _geometry);
    }

    /// <summary>The slot at an index below <see cref="Made"/>, used or not.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vm* At(int slot) => _slots[slot];

    /// <summary>The VM with a number, or null.</summary>
    internal static Vm* Find(ulong id)
    {
        int link = id == 0 ? 0 : _buckets[id % Buckets];
        while (link != 0 && At(link - 1)->Id != id)
        {
            link = _next[link - 1];
        }

        return link == 0 ? null : At(link - 1);
    }

    /// <summary>A VM whose number has these bits, or null.</summary>
    /// <param name="number">The bits.</param>
    /// <param name="mask">Which of the low 32 they are; the low ten are among them.</param>
    internal static Vm* FindLike(uint number, uint mask)
    {
        int link = _buckets[number % Buckets];
        while (link != 0 && ((uint)At(link - 1)->Id & mask) != number)
        {
            link = _next[link - 1];
        }

        return link == 0 ? null : At(link - 1);
    }

    /// <summary>
    /// An empty slot, all zero but for a fresh number; null when there is none, and no memory for more. The one that
    /// has been empty for longest, so that what is still typed for a dead VM does not reach the next one.
    /// </summary>
    internal static Vm* Take()
    {
        if (_firstFree == 0 && !TryGrow())
        {
            return null;
        }

        int slot = _firstFree - 1;
        _firstFree = _next[slot];
        _used++;
        Vm* vm = At(slot);
        vm->Initialize(++_lastId, slot);
        ref ushort bucket = ref _buckets[vm->Id % Buckets];
        _next[slot] = bucket;
        bucket = (ushort)(slot + 1);
        return vm;
    }

    /// <summary>The VM is gone: its slot is empty.</summary>
    internal static void Give(Vm* vm)
    {
        int slot = vm->Slot;
        ref ushort link = ref _buckets[vm->Id % Buckets];
        while (link != slot + 1)
        {
            link = ref _next[link - 1];
        }

        link = _next[slot];
        new Span<byte>(vm, vm->UsedBytes).Clear();
        _used--;
        PutLast(slot);
    }

    /// <summary>Makes a chunk of the pool slots.</summary>
    private static bool TryGrow()
    {
        int count = Math.Min((int)(FramePool.ChunkBytes / (ulong)sizeof(Vm)), SlotCount - Made);
        if (count == 0)
        {
            return false;
        }

        Vm* first = (Vm*)TakeChunk();
        if (first == null)
        {
            return false;
        }

        AddSlots(first, count);
        return true;
    }

    /// <summary>A chunk of the pool for what EL2 keeps of VMs, all zero, for good; null when there is none.</summary>
    internal static void* TakeChunk()
    {
        Scrubber.Pause(); // one that is being scrubbed may be the only one
        PoolResult result = Platform.Pool.AllocateWhole(ref _frames, out Pa block, out bool isZero);
        Scrubber.Resume();
        if (result != PoolResult.Ok)
        {
            return null;
        }

        // Invariant: the chunk is the table's from now on, and mapped, as all of the pool is.
        return isZero
            ? (void*)block.Value
            : Instructions.MemorySet((void*)block.Value, 0, (nuint)FramePool.ChunkBytes);
    }

    private static void AddSlots(Vm* first, int count)
    {
        for (int i = 0; i < count; i++)
        {
            _slots[Made] = first + i;
            PutLast(Made++);
        }
    }

    private static void PutLast(int slot)
    {
        _next[slot] = 0;
        if (_firstFree == 0)
        {
            _firstFree = (ushort)(slot + 1);
        }
        else
        {
            _next[_lastFree - 1] = (ushort)(slot + 1);
        }

        _lastFree = (ushort)(slot + 1);
    }
}
