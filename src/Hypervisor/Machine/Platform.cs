using System;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// The one machine that this image runs on: what the device tree says of it, and what all cores share.
/// </summary>
internal static unsafe class Platform
{
    /// <summary>The greatest machine in cores (the device tree reader's limit).</summary>
    internal const int MaximumCores = MachineDescription.MaximumCpus;

    private const ulong StackBytes = 32 * 1024;
    private const ulong FaultStackBytes = 8 * 1024;
    private const ulong PageBytes = 4096;

    private static MachineDescription _description;
    private static BootMemory _memory;
    private static El2Tables _tables;
    private static FramePool _pool;
    private static VmidAllocator _vmids;
    private static CorePointers _cores;

    internal static PhysicalGic Gic;

    internal static ref MachineDescription Description => ref _description;

    internal static ref BootMemory Memory => ref _memory;

    internal static ref El2Tables Tables => ref _tables;

    internal static ref FramePool Pool => ref _pool;

    /// <summary>The pool, for those who keep its address. A static's address is fixed: there is no collector.</summary>
    internal static FramePool* PoolPointer => (FramePool*)Unsafe.AsPointer(ref _pool);

    internal static ref VmidAllocator Vmids => ref _vmids;

    /// <summary>Cores that run our code; the boot core is number 0.</summary>
    internal static int CoreCount { get; private set; }

    internal static Core* CoreAt(int index) => (Core*)_cores[index];

    /// <summary>
    /// EL2's own page tables: the image by its parts, the devices that EL2 uses itself, RAM but for what the machine
    /// reserves, and what the boot loader left there for us.
    /// </summary>
    /// <param name="taken">The image, the device tree, the boot loader's ramdisk, RAM at address 0, and the machine's
    /// reserved regions.</param>
    /// <param name="ownStart">The hypervisor's own memory, mapped by pages because guards are taken out of it.</param>
    /// <param name="ownBytes">Its size.</param>
    internal static bool MapEverything(ReadOnlySpan<AddressRange> taken, ulong ownStart, ulong ownBytes)
    {
        ulong start = Instructions.ImageAddress(ImageBoundary.Start);
        ulong textEnd = Instructions.ImageAddress(ImageBoundary.TextEnd);
        ulong dataStart = Instructions.ImageAddress(ImageBoundary.DataStart);
        bool mapped = _tables.Initialize(ref _memory)
            && _tables.Map(ref _memory, start, textEnd, El2Access.Execute)
            && _tables.Map(ref _memory, textEnd, dataStart, El2Access.Read)
            && _tables.Map(ref _memory, dataStart, Instructions.ImageAddress(ImageBoundary.End), El2Access.ReadWrite)
            && MapDevice(_description.Uart)
            && MapDevice(_description.Distributor);
        for (int i = 0; mapped && i < _description.RedistributorRegionCount; i++)
        {
            mapped = MapDevice(_description.RedistributorRegionAt(i));
        }

        for (int i = 0; mapped && i < _description.MemoryBankCount; i++)
        {
            mapped = MapBank(_description.MemoryBankAt(i));
        }

        // What is ours may stand in a reserved region, too: it comes before those.
        int own = taken.Length - 1 - _description.ReservedRegionCount;
        for (int i = 0; mapped && i < own; i++)
        {
            mapped = _tables.Map(ref _memory, taken[i].Start, taken[i].End, El2Access.ReadWrite);
        }

        // What is below the boot stack are the boot tables, which no core needs once these are live.
        return mapped
            && _tables.MapByPages(ref _memory, ownStart, ownStart + ownBytes)
            && _tables.Unmap(ref _memory, Instructions.ImageAddress(ImageBoundary.BootStackBottom) - PageBytes);
    }

    /// <summary>
    /// A bank of RAM without the regions in it that the machine reserves, which may not even be read.
    /// </summary>
    private static bool MapBank(AddressRange bank)
    {
        ulong at = bank.Start;
        while (at < bank.End)
        {
            ulong next = bank.End;
            for (int i = 0; i < _description.ReservedRegionCount; i++)
            {
                AddressRange reserved = _description.ReservedRegionAt(i);
                if (at >= reserved.Start && at < reserved.End)
                {
                    at = reserved.End;
                    next = at;
                    break;
                }

                next = reserved.Start > at && reserved.Start < next ? reserved.Start : next;
            }

            if (next > at && !_tables.Map(ref _memory, at, next, El2Access.ReadWrite))
            {
                return false;
            }

            at = Math.Max(at, next);
        }

        return true;
    }

    /// <summary>
    /// Hands all RAM to the frame pool, in chunks, but for what is spoken for: the image, the device tree, the boot
    /// loader's ramdisk, reserved regions and the hypervisor's own memory.
    /// </summary>
    internal static bool InitializePool(ReadOnlySpan<AddressRange> taken)
    {
        ulong chunks = 0;
        for (int i = 0; i < _description.MemoryBankCount; i++)
        {
            chunks += _description.MemoryBankAt(i).Size >> FramePool.ChunkShift;
        }

        void* descriptors = _memory.Take(chunks * (ulong)Unsafe.SizeOf<Chunk>(), 64);
        void* bits = _memory.Take(chunks * FramePool.WordsPerChunk * sizeof(ulong), 64);
        if (descriptors == null || bits == null)
        {
            return false;
        }

        // Invariant: both arrays were just taken, with room for as many elements as they are said to have.
        bool good = _pool.Initialize(
            new UnmanagedArray<Chunk>((nint)descriptors, (int)chunks),
            new UnmanagedArray<ulong>((nint)bits, (int)chunks * FramePool.WordsPerChunk)) == PoolResult.Ok;
        for (int i = 0; good && i < _description.MemoryBankCount; i++)
        {
            AddressRange bank = _description.MemoryBankAt(i);
            good = _pool.AddRange(new Pa(bank.Start), bank.Size, isZero: false).Result == PoolResult.Ok;
        }

        for (int i = 0; good && i < taken.Length; i++)
        {
            good = _pool.Reserve(new Pa(taken[i].Start), taken[i].Size) == PoolResult.Ok;
        }

        return good;
    }

    /// <summary>VMIDs for as many cores as the machine has.</summary>
    internal static bool InitializeVmids()
    {
        int words = VmidAllocator.BitmapWords(CpuFeatures.VmidBits);
        int cores = _description.CpuCount;
        void* bitmap = _memory.Take((ulong)words * 8, 64);
        void* active = _memory.Take((ulong)cores * 8, 64);
        void* reserved = _memory.Take((ulong)cores * 8, 64);

        // Invariant: three fresh arrays of the lengths that are passed on.
        return bitmap != null && active != null && reserved != null && _vmids.Initialize(
            CpuFeatures.VmidBits,
            new UnmanagedArray<ulong>((nint)bitmap, words),
            new UnmanagedArray<ulong>((nint)active, cores),
            new UnmanagedArray<ulong>((nint)reserved, cores)) == VmidResult.Ok;
    }

    /// <summary>Sets up the boot core's own record and its private interrupts.</summary>
    internal static bool AddBootCore()
    {
        Core* core = Core.Current;
        core->StackBottom = Instructions.ImageAddress(ImageBoundary.BootStackBottom);
        core->StackTop = Instructions.ImageAddress(ImageBoundary.BootCore);
        core->FaultStackTop = (ulong)core + FaultStackBytes;
        core->SetAffinity(Instructions.ReadMpidr() & AffinityMask);
        return AddCore(core);
    }

    /// <summary>Makes the record and the stacks of another core, with an unmapped page below the stack.</summary>
    internal static Core* MakeCore(ulong affinity)
    {
        ulong bottom = (ulong)_memory.Take(PageBytes + StackBytes + FaultStackBytes, PageBytes);
        if (bottom == 0 || !_tables.Unmap(ref _memory, bottom))
        {
            return null;
        }

        // Invariant: the record stands at the bottom of the fault stack's pages, just taken; that stack grows towards
        // it.
        Core* core = (Core*)(bottom + PageBytes + StackBytes);
        core->StackBottom = bottom + PageBytes;
        core->StackTop = bottom + PageBytes + StackBytes;
        core->FaultStackTop = (ulong)core + FaultStackBytes;
        core->SetAffinity(affinity);
        core->TranslationTable = _tables.Root;
        return AddCore(core) ? core : null;
    }

    /// <summary>
    /// Makes the monitor look around: what it is to find has been written. A vCPU of core 0's own leaves its guest for
    /// it, too.
    /// </summary>
    internal static void WakeMonitor()
    {
        Core* core = CoreAt(0);
        core->IsMonitorWanted = true;
        core->Kick();
    }

    /// <summary>The affinity fields of an MPIDR_EL1 value.</summary>
    internal const ulong AffinityMask = 0xFF_00FF_FFFF;

    private static bool AddCore(Core* core)
    {
        void* last = Memory.Take(VmTable.SlotCount, 64);
        if (last == null || CoreCount == MaximumCores
            || !TryFindRedistributor(core->Affinity, out core->Redistributor))
        {
            return false;
        }

        // Invariant: a byte for each slot that a VM can have, just taken, zero, and kept as long as the machine runs.
        core->LastVcpus.Initialize(new UnmanagedArray<byte>((nint)last, VmTable.SlotCount));

        core->Index = (uint)CoreCount;
        _cores[CoreCount] = (nuint)core;
        CoreCount++;
        return true;
    }

    private static bool TryFindRedistributor(ulong affinity, out ulong redistributor)
    {
        for (int i = 0; i < _description.RedistributorRegionCount; i++)
        {
            AddressRange region = _description.RedistributorRegionAt(i);
            redistributor = region.Start;
            while (redistributor < region.End)
            {
                if (PhysicalGic.Serves(redistributor, affinity))
                {
                    return true;
                }

                if (PhysicalGic.IsLast(redistributor))
                {
                    break;
                }

                ulong stride = _description.RedistributorStride;
                redistributor += stride != 0 ? stride : PhysicalGic.Stride(redistributor);
            }
        }

        redistributor = 0;
        return false;
    }

    /// <summary>Maps a device's registers while EL2's tables are in use and the boot core is alone.</summary>
    internal static bool TryMapDevice(AddressRange range)
    {
        bool isMapped = MapDevice(range);
        Instructions.DataSynchronizationSy(); // what was invalid is in no TLB
        Instructions.InstructionSynchronization();
        return isMapped;
    }

    private static bool MapDevice(AddressRange range) =>
        _tables.Map(ref _memory, range.Start, range.End, El2Access.Device);

    [InlineArray(MaximumCores)]
    private struct CorePointers
    {
        private nuint _first;
    }
}
