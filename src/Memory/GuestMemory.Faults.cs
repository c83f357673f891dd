using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

// A Stage-2 fault in three steps, so that the page can be looked up and filled without the memory lock:
//
//   PrepareFault   lock held     read the sequence, find the slot, take a frame (or ask for the host's page)
//   FillFault      no lock       zero it, clean it to the PoC; or FillStep, part by part
//   CommitFault    lock held     drop it if an invalidation came in between, else map it
//
// HandleFault is all three for callers that keep the lock. For a page that is the faster way, too: to let the lock go
// and take it again costs as much as to fill a page. A block takes a thousand times as long to fill.
public partial struct GuestMemory<TFormat, TMachine>
{
    /// <summary>What a caller says who does not know, or whose fault was no translation fault.</summary>
    public const int UnknownLevel = -1;

    /// <summary>
    /// Answers a Stage-2 abort on memory out of the pool, in one call. For a host's slot it answers
    /// <see cref="FaultResult.NeedsHostPage"/>, as <see cref="PrepareFault"/> does, and has taken nothing.
    /// </summary>
    /// <param name="machine">The VM's machine.</param>
    /// <param name="ipa">The faulting address, from HPFAR_EL2 and FAR_EL2; any value.</param>
    /// <param name="access">What the guest tried.</param>
    /// <param name="translationFaultLevel">See <see cref="PrepareFault"/>.</param>
    public FaultResult HandleFault(
        ref TMachine machine, Ipa ipa, AccessKind access, int translationFaultLevel = UnknownLevel)
    {
        if (translationFaultLevel >= 0 && access != AccessKind.Execute && Exists && _invalidation.InProgress == 0)
        {
            int number = _slots.Find(ipa);
            if (number != SlotTable.None)
            {
                ref MemorySlot slot = ref _slots[number];
                if (slot.OrdinaryLeaf != 0 && slot.Permits(access))
                {
                    return MapNewPage(ref machine, slot.OrdinaryLeaf, ipa);
                }
            }
        }

        return HandleFaultInSteps(ref machine, ipa, access, translationFaultLevel);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private FaultResult HandleFaultInSteps(
        ref TMachine machine, Ipa ipa, AccessKind access, int translationFaultLevel)
    {
        FaultResult result = PrepareFault(ref machine, ipa, access, out FaultTicket ticket, translationFaultLevel);
        if (result == FaultResult.Prepared)
        {
            FillFault(ref machine, ref ticket);
            _ = NoteOrdinaryLeaf(ref machine, ref _slots[ticket.Slot]);
            result = CommitFault(ref machine, ref ticket);
        }

        return result;
    }

    /// <summary>
    /// What a page's leaf is but for its address, once it may be written; kept where the next fault can do with it.
    /// </summary>
    private static ulong NoteOrdinaryLeaf(ref TMachine machine, ref MemorySlot slot)
    {
        LeafAttributes attributes = AttributesFor(ref machine, in slot, AccessKind.Write);
        ulong leaf = TFormat.LeafTemplate(attributes, PageLevel, machine.HasForcedWriteBack);
        slot.OrdinaryLeaf = slot.GivesOrdinaryPages ? leaf : 0;
        return leaf;
    }

    /// <summary>
    /// The ordinary fault: the first touch of a page of the pool's. The lock is held from the look-up to the mapping,
    /// so no invalidation can come in between.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private FaultResult MapNewPage(ref TMachine machine, ulong leaf, Ipa ipa)
    {
        ulong place = ipa.Value >> TFormat.GranuleShift;
        if (machine.Pool.AllocateData(ref machine.Frames, place, out Pa page, out bool isZero) != PoolResult.Ok)
        {
            return NoMemoryAt(ref machine, ipa);
        }

        if (!isZero)
        {
            FillWithZeroes(ref machine, page, GranuleBytes);
        }

        Stage2Result mapped = _table.MapNewPage(ref machine, ipa, TFormat.Leaf(leaf, page));
        machine.Pool.ForgetReservation(ref machine.Frames);
        if (mapped == Stage2Result.Done)
        {
            return FaultResult.Mapped;
        }

        machine.Pool.FreeData(ref machine.Frames, page);
        return FromStage2ForFault(ref machine, mapped);
    }

    /// <summary>
    /// First step. <see cref="FaultResult.Prepared"/> and <see cref="FaultResult.NeedsHostPage"/> leave a ticket to
    /// be committed or abandoned; every other result is final. Faults that only lack a permission or the access
    /// flag are answered here.
    /// </summary>
    /// <param name="machine">The VM's machine.</param>
    /// <param name="ipa">The faulting address; any value.</param>
    /// <param name="access">What the guest tried.</param>
    /// <param name="ticket">The fault between its steps.</param>
    /// <param name="translationFaultLevel">
    /// The level in the syndrome of a translation fault (ESR_EL2.DFSC or IFSC 0b0001LL), which spares the walk that
    /// finds it; <see cref="UnknownLevel"/> for every other fault. It may be out of date when another vCPU was faster:
    /// the commit notices.
    /// </param>
    public FaultResult PrepareFault(
        ref TMachine machine, Ipa ipa, AccessKind access, out FaultTicket ticket,
        int translationFaultLevel = UnknownLevel)
    {
        ticket = default;
        if (!CanChange)
        {
            return FaultResult.NoMemory;
        }

        // Before anything about the page is looked up: an invalidation that ends after this drops the fault.
        ticket.Sequence = _invalidation.Sequence();
        ticket.Address = ipa.Value;
        ticket.Access = access;
        int number = _slots.Find(ipa);
        if (number == SlotTable.None)
        {
            return FaultResult.NoSlot;
        }

        ticket.Slot = number;
        ref MemorySlot slot = ref _slots[number];
        if (!slot.Permits(access))
        {
            return access == AccessKind.Write ? FaultResult.ReadOnly : FaultResult.NotExecutable;
        }

        int faultLevel = translationFaultLevel;
        if (faultLevel < 0)
        {
            if (access == AccessKind.Write && IsFork
                && TryCopyOnWrite(ref machine, ref slot, ipa, out FaultResult copied))
            {
                return copied;
            }

            Translation now = _table.Translate(ref machine, ipa);
            if (now.IsMapped)
            {
                return PrepareMapped(ref machine, ref slot, in now, in ticket);
            }

            faultLevel = now.Level;
        }

        return slot.Slot.Backing == SlotBacking.Host
            ? FaultResult.NeedsHostPage
            : PreparePoolPage(ref machine, ref slot, faultLevel, ref ticket);
    }

    /// <summary>Third step: maps the page, unless an invalidation or another vCPU was there first.</summary>
    public FaultResult CommitFault(ref TMachine machine, ref FaultTicket ticket)
    {
        if (!Exists)
        {
            return FaultResult.NoMemory;
        }

        ref MemorySlot slot = ref _slots[ticket.Slot];
        ulong bytes = ExtentOf(in slot, in ticket);
        Ipa start = AlignDown(ticket.Ipa, bytes);
        if (_invalidation.MustRetry(ticket.Sequence, start, bytes) || !slot.Contains(ticket.Address))
        {
            GiveBack(ref machine, ref ticket);
            return FaultResult.Retry;
        }

        if (!ticket.IsPoolPage)
        {
            return ticket.IsSupplied
                ? MapHostPage(ref machine, ref slot, ticket.Ipa, in ticket)
                : FaultResult.BadPage;
        }

        if (slot.IsLogged && ticket.Level != PageLevel)
        {
            // Logging began after the block was chosen.
            GiveBack(ref machine, ref ticket);
            return FaultResult.Retry;
        }

        LeafAttributes attributes = AttributesFor(ref machine, in slot, ticket.Access);
        Stage2Result mapped = _table.Map(ref machine, start, new Pa(ticket.Page), ticket.Level, attributes);
        machine.Pool.ForgetReservation(ref machine.Frames);
        if (mapped == Stage2Result.Done)
        {
            machine.Frames.InFlight--;
            LogWrite(ref slot, ticket.Ipa, ticket.Access);
            return FaultResult.Mapped;
        }

        GiveBack(ref machine, ref ticket);
        return FromStage2ForFault(ref machine, mapped);
    }

    /// <summary>Ends a fault without mapping anything; a pool page goes back.</summary>
    public readonly void AbandonFault(ref TMachine machine, ref FaultTicket ticket)
    {
        if (Exists)
        {
            GiveBack(ref machine, ref ticket);
        }
    }

    /// <summary>
    /// Bytes of the leaf that a fault would map. A level that the format has no leaf at is refused later: a granule.
    /// </summary>
    private static ulong ExtentOf(in MemorySlot slot, in FaultTicket ticket)
    {
        int level = ticket.Level;
        bool isBlock = level < PageLevel && TFormat.HasLeafAt(level) && !slot.IsLogged;
        return isBlock ? Stage2Geometry.LevelBytes<TFormat>(level) : GranuleBytes;
    }

    /// <summary>A fault on an address that has a leaf: it lacks the access flag or a permission, or nothing.</summary>
    private FaultResult PrepareMapped(
        ref TMachine machine, ref MemorySlot slot, in Translation now, in FaultTicket ticket)
    {
        var ipa = new Ipa(ticket.Address);
        if (Permits(now.Attributes, ticket.Access))
        {
            // Another vCPU mapped it since, or only the access flag was missing.
            return now.Attributes.Accessed
                ? FaultResult.Mapped
                : FromStage2ForFault(ref machine, _table.MarkAccessed(ref machine, AlignDown(ipa, GranuleBytes)));
        }

        if (slot.Slot.Backing == SlotBacking.Host)
        {
            // Copy-on-write: a write can bring another page, and only the host knows.
            return FaultResult.NeedsHostPage;
        }

        ulong bytes = Stage2Geometry.LevelBytes<TFormat>(now.Level);
        if (_invalidation.IsInProgress(AlignDown(ipa, bytes), bytes))
        {
            // Not unmapped yet, but about to be.
            return FaultResult.Retry;
        }

        FaultResult result = ticket.Access != AccessKind.Write ? PermitExecute(ref machine, ipa, in now)
            : IsShared(ref machine, now.Output) ? CopyOnWrite(ref machine, ref slot, ipa, now.Output, default)
            : PermitWrite(ref machine, ref slot, ipa, in now);
        machine.Pool.ForgetReservation(ref machine.Frames);
        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly FaultResult PreparePoolPage(
        ref TMachine machine, ref MemorySlot slot, int faultLevel, ref FaultTicket ticket)
    {
        if (HasPoolBlocks && slot.Slot.Sizing != PageSizing.Pages)
        {
            if (TryPrepareBlock(ref machine, ref slot, faultLevel, ref ticket, out FaultResult result))
            {
                return result;
            }
        }

        ulong place = ticket.Address >> TFormat.GranuleShift;
        if (machine.Pool.AllocateData(ref machine.Frames, place, out Pa page, out bool isZero) != PoolResult.Ok)
        {
            return NoMemoryAt(ref machine, ticket.Ipa);
        }

        machine.Frames.InFlight++;
        ticket.Page = page.Value;
        ticket.Level = PageLevel;
        ticket.IsPoolPage = true;
        ticket.IsZero = isZero;
        return FaultResult.Prepared;
    }

    /// <summary>A block, or why there is none; false where a page is to be taken instead.</summary>
    private readonly bool TryPrepareBlock(
        ref TMachine machine, ref MemorySlot slot, int faultLevel, ref FaultTicket ticket, out FaultResult result)
    {
        result = FaultResult.Prepared;
        // A logged slot is mapped by pages, or one write would mark a whole block (as Linux's logging does).
        if (faultLevel > BlockLevel || slot.IsLogged || !slot.HoldsBlock(ticket.Address, FramePool.ChunkBytes))
        {
            return false;
        }

        if (machine.Pool.AllocateWhole(ref machine.Frames, out Pa block, out ticket.IsZero) != PoolResult.Ok)
        {
            result = NoMemoryAt(ref machine, ticket.Ipa);
            return slot.Slot.Sizing == PageSizing.Blocks;
        }

        machine.Frames.InFlight++;
        ticket.Page = block.Value;
        ticket.Level = BlockLevel;
        ticket.IsPoolPage = true;
        return true;
    }

    /// <summary>Gives a leaf of the pool's the right to be written.</summary>
    private FaultResult PermitWrite(ref TMachine machine, ref MemorySlot slot, Ipa ipa, in Translation now)
    {
        int level = now.Level;
        if (slot.IsLogged)
        {
            if (level != PageLevel)
            {
                Stage2Result split = _table.SplitBlock(ref machine, AlignDown(ipa, GranuleBytes), PageLevel);
                if (split != Stage2Result.Done)
                {
                    return FromStage2ForFault(ref machine, split);
                }

                level = PageLevel;
            }
        }
        else if (CanBeBlockAgain(ref machine, in slot, ipa, in now))
        {
            // Logging dissolved this block and is over. Its frames are still all there, and in order.
            LeafAttributes attributes = AttributesFor(ref machine, in slot, AccessKind.Write);
            return ReplaceTable(
                ref machine, in slot, AlignDown(ipa, FramePool.ChunkBytes),
                new Pa(now.Output.Value & ~(FramePool.ChunkBytes - 1)), BlockLevel, attributes);
        }

        Ipa start = AlignDown(ipa, Stage2Geometry.LevelBytes<TFormat>(level));
        FaultResult result = Permit(ref machine, start, level, now.Attributes.WithWrite(true));
        if (result == FaultResult.Mapped)
        {
            LogWrite(ref slot, ipa, AccessKind.Write);
        }

        return result;
    }

    /// <summary>
    /// Gives a leaf the right to be executed. Until the first fetch it was execute-never, so that the instruction
    /// cache is maintained only for pages that hold code, as in Linux (CTR_EL0.DIC clear).
    /// </summary>
    private FaultResult PermitExecute(ref TMachine machine, Ipa ipa, in Translation now)
    {
        ulong bytes = Stage2Geometry.LevelBytes<TFormat>(now.Level);
        InvalidateInstructions(ref machine, new Pa(now.Output.Value & ~(bytes - 1)), bytes);
        var permissions = new LeafAttributes(now.Attributes.Bits & ~LeafAttributes.ExecuteNeverBit);
        return Permit(ref machine, AlignDown(ipa, bytes), now.Level, permissions);
    }

    private FaultResult Permit(ref TMachine machine, Ipa start, int level, LeafAttributes permissions)
    {
        var cursor = new RangeCursor(start, Stage2Geometry.LevelBytes<TFormat>(level));
        Stage2Result result = _table.ChangePermissions(
            ref machine, ref cursor, permissions, PartialBlock.TakeWhole, out MaintenanceDebt debt);
        _table.Settle(ref machine, ref debt);
        return FromStage2ForFault(ref machine, result);
    }

    /// <summary>Patch 6's retry: a table becomes a block, and the small pages go by the policy.</summary>
    private FaultResult ReplaceTable(
        ref TMachine machine, in MemorySlot slot, Ipa start, Pa page, int level, LeafAttributes attributes)
    {
        UnmapFlags flags = Elision.For(
            _policy, UnmapOperation.BlockRetry, default, Facts(ref machine, slot.Slot.FateAtRemoval));
        if (PolicyRules.DecidesByFate(_policy) && slot.Slot.Backing == SlotBacking.Host
            && MappedOf(ref machine, start, page, level) == 0)
        {
            // The licence is that the same frames are mapped again: a host may have copied some of them together.
            flags = UnmapFlags.None;
        }

        // The same frames are mapped again, or they are a host's: nothing is freed.
        NoSink sink = default;
        Stage2Result result = PolicyRules.RangeStyleOf(_policy) == RangeStyle.Eager
            ? _table.ReplaceTableByBlockEager(ref machine, start, page, level, attributes, flags, ref sink)
            : _table.ReplaceTableByBlock(ref machine, start, page, level, attributes, flags, ref sink);
        return FromStage2ForFault(ref machine, result);
    }

    /// <summary>
    /// How much of a block is mapped below its place, at the addresses that it would have; 0 if a leaf maps others.
    /// </summary>
    private readonly ulong MappedOf(ref TMachine machine, Ipa start, Pa page, int level)
    {
        var cursor = new RangeCursor(start, Stage2Geometry.LevelBytes<TFormat>(level));
        var visitor = new SameMemory(start, page);
        return _table.Visit(ref machine, ref cursor, ref visitor) == Stage2Result.Done && !visitor.Differs
            ? visitor.Bytes
            : 0;
    }

    /// <summary>
    /// Not while a part of the block is being invalidated, which has split blocks at its edges and relies on that.
    /// </summary>
    private readonly bool CanBeBlockAgain(
        ref TMachine machine, in MemorySlot slot, Ipa ipa, in Translation now) =>
        HasPoolBlocks && now.Level == PageLevel && slot.Slot.Sizing != PageSizing.Pages
        && slot.HoldsBlock(ipa.Value, FramePool.ChunkBytes)
        && ((now.Output.Value ^ ipa.Value) & (FramePool.ChunkBytes - 1)) == 0
        && machine.Pool.IsWhole(in machine.Frames, now.Output)
        && !_invalidation.IsInProgress(AlignDown(ipa, FramePool.ChunkBytes), FramePool.ChunkBytes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Ipa AlignDown(Ipa ipa, ulong bytes) => new(ipa.Value & ~(bytes - 1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Permits(LeafAttributes attributes, AccessKind access) => access switch
    {
        AccessKind.Read => attributes.Read,
        AccessKind.Write => attributes.Write,
        _ => !attributes.ExecuteNever,
    };

    /// <summary>
    /// What a leaf of a slot permits: writes not where they are logged, before one is tried; execution from the start
    /// only where the instruction cache is coherent, else from the first fetch on.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static LeafAttributes AttributesFor(ref TMachine machine, in MemorySlot slot, AccessKind access)
    {
        uint bits = slot.Attributes;
        if (slot.IsLogged && access != AccessKind.Write)
        {
            bits &= ~LeafAttributes.WriteBit;
        }

        if (access == AccessKind.Execute
            || (machine.HasInstructionCacheCoherency && slot.Slot.Type != MemoryType.Device))
        {
            bits &= ~LeafAttributes.ExecuteNeverBit;
        }

        return new LeafAttributes(bits);
    }

    private static void GiveBack(ref TMachine machine, ref FaultTicket ticket)
    {
        if (ticket.IsPoolPage)
        {
            if (ticket.Level == PageLevel)
            {
                machine.Pool.FreeData(ref machine.Frames, new Pa(ticket.Page));
            }
            else
            {
                machine.Pool.FreeWhole(ref machine.Frames, new Pa(ticket.Page));
            }

            ticket.IsPoolPage = false;
            machine.Frames.InFlight--;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LogWrite(ref MemorySlot slot, Ipa ipa, AccessKind access)
    {
        if (slot.IsLogged && access == AccessKind.Write)
        {
            ulong page = (ipa.Value - slot.First) >> TFormat.GranuleShift;
            slot.Dirty[(int)(page >> 6)] |= 1UL << (int)(page & 63);
        }
    }

    /// <summary>
    /// The pool refused. The VM is out of memory only when that cannot change by itself: the pool has decided so under
    /// its lock, and no other fault of this VM is between its steps.
    /// </summary>
    private static FaultResult NoMemoryNow(ref TMachine machine) =>
        machine.Frames.MayHaveMoreSoon ? FaultResult.Retry : FaultResult.OutOfMemory;

    /// <summary>
    /// The same, for a translation fault on an address: another vCPU may have mapped it since the hardware looked, with
    /// the last memory that there was.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly FaultResult NoMemoryAt(ref TMachine machine, Ipa ipa) =>
        _table.Translate(ref machine, ipa).IsMapped ? FaultResult.Retry : NoMemoryNow(ref machine);

    private static FaultResult FromStage2ForFault(ref TMachine machine, Stage2Result result) => result switch
    {
        Stage2Result.Done => FaultResult.Mapped,
        Stage2Result.OutOfTables => NoMemoryNow(ref machine),
        // Between the steps another vCPU was faster.
        Stage2Result.AlreadyMapped or Stage2Result.BlockInTheWay or Stage2Result.TableInTheWay => FaultResult.Retry,
        _ => FaultResult.Defect,
    };

    private struct SameMemory(Ipa start, Pa page) : ILeafVisitor
    {
        internal bool Differs;
        internal ulong Bytes;

        public void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes)
        {
            Differs |= output.Value != page.Value + (ipa - start);
            Bytes += Stage2Geometry.LevelBytes<TFormat>(level);
        }
    }
}
