using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>What a VM's memory starts with.</summary>
public readonly struct GuestMemoryOptions
{
    /// <param name="geometry">Guest-physical address size and table shape, of the memory's own format.</param>
    /// <param name="policy">Which maintenance is issued; can be changed later.</param>
    /// <param name="guestMayHaveUncachedAlias">See <see cref="ElisionFacts"/>; true unless it is known better.</param>
    public GuestMemoryOptions(Stage2Geometry geometry, MaintenancePolicy policy, bool guestMayHaveUncachedAlias = true)
    {
        Geometry = geometry;
        Policy = policy;
        GuestMayHaveUncachedAlias = guestMayHaveUncachedAlias;
    }

    /// <summary>Table shape.</summary>
    public Stage2Geometry Geometry { get; }

    /// <summary>The policy to begin with.</summary>
    public MaintenancePolicy Policy { get; }

    /// <summary>The guest may access memory past the caches.</summary>
    public bool GuestMayHaveUncachedAlias { get; }

    /// <summary>
    /// Chunks that the VM can have whatever other VMs do, its tables' included; see <see cref="MemoryBound"/>. 0: it
    /// takes what is promised to no other, and a fault that finds nothing is <see cref="FaultResult.OutOfMemory"/>.
    /// </summary>
    public int PromisedChunks { get; init; }

    /// <summary>Chunks that the VM may have at most; not less than <see cref="PromisedChunks"/>.</summary>
    public int MostChunks { get; init; } = int.MaxValue;
}

/// <summary>
/// A VM's memory: its slots, its Stage-2 table and the frames behind them, from the first fault to the release.
/// </summary>
/// <remarks>
/// Invariants: only addresses inside slots are mapped; a pool frame is mapped at one place or free; the sum of
/// mapped pool frames and table pages is what the VM's chunks count as used.
/// <para>
/// Locking: the caller holds the VM's memory lock around every method, except where a method says otherwise.
/// Hardware walks the tables all the while.
/// </para>
/// <para>
/// The value may lie in any memory, zeroed when there is no VM, and is not to be copied. Blocks out of the pool
/// are 2 MB, so they are there with the 4K granule only; a host may supply any size that the format has.
/// </para>
/// </remarks>
public partial struct GuestMemory<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private const int PageLevel = Stage2Geometry.LastLevel;
    private const int BlockLevel = PageLevel - 1;

    private PageTable<TFormat, TMachine> _table;
    private SlotTable _slots;
    private InvalidationState _invalidation;
    private MaintenancePolicy _policy;
    private bool _guestMayHaveUncachedAlias;

    /// <summary>
    /// Makes an empty memory: adopts the machine's frame record and builds the root.
    /// </summary>
    /// <param name="machine">The VM's machine; its <see cref="IMemoryMachine.Frames"/> holds nothing yet.</param>
    /// <param name="memory">Where the memory is to be.</param>
    /// <param name="options">What it starts with.</param>
    /// <param name="vmid">The VM's identifier now; see <see cref="Vmid"/>.</param>
    public static MemoryResult Create(
        ref TMachine machine, ref GuestMemory<TFormat, TMachine> memory, GuestMemoryOptions options, Vmid vmid)
    {
        if (!PolicyRules.IsKnown(options.Policy))
        {
            return MemoryResult.BadArgument;
        }

        ref VmFrames frames = ref machine.Frames;
        if (machine.Pool.Adopt(ref frames, TFormat.GranuleShift) != PoolResult.Ok)
        {
            return MemoryResult.BadArgument;
        }

        PoolResult promised = machine.Pool.Promise(ref frames, options.PromisedChunks, options.MostChunks);
        if (promised != PoolResult.Ok)
        {
            machine.Pool.ReturnAll(ref frames);
            return promised == PoolResult.OutOfMemory ? MemoryResult.OutOfMemory : MemoryResult.BadArgument;
        }

        memory = default;
        Stage2Result result = PageTable<TFormat, TMachine>.Create(
            ref machine, options.Geometry, vmid, out memory._table);
        if (result != Stage2Result.Done)
        {
            machine.Pool.ReturnAll(ref frames);
            return result == Stage2Result.OutOfTables ? MemoryResult.OutOfMemory : MemoryResult.BadArgument;
        }

        memory._policy = options.Policy;
        memory._guestMayHaveUncachedAlias = options.GuestMayHaveUncachedAlias;
        return MemoryResult.Ok;
    }

    /// <summary>Whether there is a table: after <see cref="Create"/>, before the release.</summary>
    public readonly bool Exists => _table.Exists;

    /// <summary>The table's shape.</summary>
    public readonly Stage2Geometry Geometry => _table.Geometry;

    /// <summary>VTTBR_EL2 for this VM's table and VMID.</summary>
    public readonly ulong Vttbr => _table.Vttbr;

    /// <summary>
    /// The identifier that invalidations name. Set it when the allocator gave the VM another one: whatever the
    /// old one tagged was invalidated then.
    /// </summary>
    public Vmid Vmid
    {
        readonly get => _table.Vmid;
        set => _table.Vmid = value;
    }

    /// <summary>Which maintenance is issued from now on. A value that is none of the named ones is ignored.</summary>
    public MaintenancePolicy Policy
    {
        readonly get => _policy;
        set => _policy = PolicyRules.IsKnown(value) ? value : _policy;
    }

    /// <summary>Granule pages mapped now.</summary>
    public readonly ulong MappedPages => _table.LeafCount(PageLevel);

    /// <summary>Blocks of the lowest block level (2 MB with the 4K granule) mapped now.</summary>
    public readonly ulong MappedBlocks => _table.LeafCount(BlockLevel);

    /// <summary>Table pages, the root's included.</summary>
    public readonly ulong TablePages => _table.TableCount;

    /// <summary>
    /// Adds a slot. Nothing is mapped yet: faults do that.
    /// </summary>
    public MemoryResult AddSlot(Ipa start, ulong bytes, SlotOptions options, out int number)
    {
        number = SlotTable.None;
        return Exists
            ? _slots.Add(start, bytes, options, GranuleBytes, Geometry.IpaLimit, out number)
            : MemoryResult.NoMemory;
    }

    /// <summary>
    /// Removes a slot from a live VM: unmaps it under the policy, gives pool frames back, and makes faults that
    /// are under way retry.
    /// </summary>
    public MemoryResult RemoveSlot(ref TMachine machine, int number)
    {
        if (!Exists)
        {
            return MemoryResult.NoMemory;
        }

        if (!_slots.Exists(number))
        {
            return MemoryResult.NoSuchSlot;
        }

        ref MemorySlot slot = ref _slots[number];
        Ipa next = slot.Start;
        Ipa end = slot.End;
        UnmapFlags flags = Elision.For(
            _policy, UnmapOperation.SlotRemoval, default, Facts(ref machine, slot.Slot.FateAtRemoval));
        _invalidation.Begin(next, end);
        MemoryResult result = UnmapSpan(ref machine, ref next, end, flags, PartialBlock.TakeWhole, false);
        _invalidation.End();
        if (result == MemoryResult.Ok)
        {
            _slots.Remove(number);
        }

        machine.Pool.ForgetReservation(ref machine.Frames);
        return result;
    }

    /// <summary>A slot as it is now; false when the number names none.</summary>
    public bool TryGetSlot(int number, out MemorySlot slot)
    {
        bool exists = _slots.Exists(number);
        slot = exists ? _slots[number] : default;
        return exists;
    }

    /// <summary>What the table says about an address: for the monitor, the fault path and tests.</summary>
    public Translation Translate(ref TMachine machine, Ipa ipa) =>
        Exists && ipa < Geometry.IpaLimit ? _table.Translate(ref machine, ipa) : default;

    /// <summary>Shows every leaf of a range to a visitor, in ascending order.</summary>
    public MemoryResult Visit<TVisitor>(ref TMachine machine, Ipa start, ulong bytes, ref TVisitor visitor)
        where TVisitor : struct, ILeafVisitor
    {
        if (!Exists)
        {
            return MemoryResult.NoMemory;
        }

        var cursor = new RangeCursor(start, bytes);
        return FromStage2(_table.Visit(ref machine, ref cursor, ref visitor));
    }

    private static ulong GranuleBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1UL << TFormat.GranuleShift;
    }

    /// <summary>Whether a whole chunk is a block of this format.</summary>
    private static bool HasPoolBlocks
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => MemoryBound.HasPoolBlocks<TFormat>();
    }

    private readonly ElisionFacts Facts(ref TMachine machine, PageFate fate) =>
        new(fate, machine.HasForcedWriteBack, _guestMayHaveUncachedAlias);

    private static MemoryResult FromStage2(Stage2Result result) => result switch
    {
        Stage2Result.Done => MemoryResult.Ok,
        Stage2Result.Again => MemoryResult.Again,
        Stage2Result.Misaligned => MemoryResult.Misaligned,
        Stage2Result.OutOfRange => MemoryResult.OutOfRange,
        Stage2Result.OutOfTables => MemoryResult.OutOfMemory,
        Stage2Result.NotMapped => MemoryResult.NotMapped,
        _ => MemoryResult.Defect,
    };
}
