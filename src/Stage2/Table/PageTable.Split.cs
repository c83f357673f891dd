namespace Quietus.Stage2;

// Changing the size of what maps an address: blocks into tables, contiguous runs into single leaves.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>
    /// Splits what maps an IPA until its own leaf is of a level; the rest keeps the largest leaves that it can. By
    /// break-before-make, unless the machine needs no break. Owes nothing. A leaf that is small enough already only
    /// leaves its contiguous run.
    /// </summary>
    /// <returns>Done; NotMapped; OutOfRange; IllegalLevel; OutOfTables.</returns>
    public Stage2Result SplitBlock(ref TMachine machine, Ipa ipa, int toLevel)
    {
        if (!Exists || ipa >= _geometry.IpaLimit)
        {
            return Stage2Result.OutOfRange;
        }

        if ((uint)toLevel > Stage2Geometry.LastLevel || !TFormat.HasLeafAt(toLevel))
        {
            return Stage2Result.IllegalLevel;
        }

        _ = Descend(ref machine, ipa, Stage2Geometry.LastLevel, out int level, out ulong entry);
        if (!TFormat.IsValid(entry))
        {
            return Stage2Result.NotMapped;
        }

        if (level < toLevel && !machine.ReserveTables((uint)(toLevel - level)))
        {
            return Stage2Result.OutOfTables;
        }

        Split(ref machine, ipa, toLevel);
        return Stage2Result.Done;
    }

    /// <summary>Validates a range, and takes out of its way what must not be changed in part.</summary>
    private Stage2Result PrepareRange(ref TMachine machine, ref RangeCursor cursor, PartialBlock partial)
    {
        Stage2Result validity = Validate(ref cursor);
        return validity == Stage2Result.Done && cursor.Next < cursor.End
            ? Isolate(ref machine, cursor.Next, cursor.End, partial)
            : validity;
    }

    /// <summary>
    /// Makes a range one that no leaf straddles: splits, where that is asked for, the blocks that it covers in part,
    /// and dissolves the contiguous runs that it does. Operations on ranges do it themselves; callers that must know
    /// beforehand whether there are tables enough do it first. Owes nothing.
    /// </summary>
    /// <param name="start">The range's start, which with its end is a multiple of the granule.</param>
    /// <param name="end">The first address past the range.</param>
    /// <param name="partial">What becomes of a block that is covered in part.</param>
    /// <returns>Done; OutOfTables, and then nothing was changed.</returns>
    public Stage2Result Isolate(ref TMachine machine, Ipa start, Ipa end, PartialBlock partial)
    {
        uint tables = 0;
        bool needed = EdgeNeeds(ref machine, start, partial, ref tables);
        bool endNeeded = EdgeNeeds(ref machine, end, partial, ref tables);
        if (tables != 0 && !machine.ReserveTables(tables))
        {
            return Stage2Result.OutOfTables;
        }

        if (needed)
        {
            IsolateEdge(ref machine, start, partial);
        }

        if (endNeeded)
        {
            IsolateEdge(ref machine, end, partial);
        }

        return Stage2Result.Done;
    }

    /// <summary>
    /// Whether the address lies inside a block or a contiguous run, and how many tables it takes to split it there.
    /// </summary>
    private readonly bool EdgeNeeds(ref TMachine machine, Ipa edge, PartialBlock partial, ref uint tables)
    {
        if (edge >= _geometry.IpaLimit)
        {
            return false;
        }

        _ = Descend(ref machine, edge, Stage2Geometry.LastLevel, out int level, out ulong entry);
        if (!TFormat.IsValid(entry))
        {
            return false;
        }

        int toLevel = LevelOfEdge(edge, level);
        if (partial == PartialBlock.Split)
        {
            tables += (uint)(toLevel - level);
        }

        bool isInRun = TFormat.IsContiguous(entry)
            && !edge.IsAlignedTo(LevelBytes(level) << TFormat.ContiguousShift(level));
        return isInRun || (toLevel > level && partial == PartialBlock.Split);
    }

    private void IsolateEdge(ref TMachine machine, Ipa edge, PartialBlock partial)
    {
        _ = Descend(ref machine, edge, Stage2Geometry.LastLevel, out int level, out ulong entry);
        Split(ref machine, edge, partial == PartialBlock.Split ? LevelOfEdge(edge, level) : level);
    }

    /// <summary>The first level, from a given one on, whose leaves may begin at an address.</summary>
    private static int LevelOfEdge(Ipa edge, int level)
    {
        while (level < Stage2Geometry.LastLevel && !edge.IsAlignedTo(LevelBytes(level)))
        {
            level++;
        }

        return level;
    }

    /// <summary>Dissolves the run, and splits the block, that map an address. The tables were reserved.</summary>
    private void Split(ref TMachine machine, Ipa ipa, int toLevel)
    {
        Pa address = Descend(ref machine, ipa, Stage2Geometry.LastLevel, out int level, out ulong entry);
        DissolveIfContiguous(ref machine, ipa, level, entry);
        if (level >= toLevel)
        {
            return;
        }

        ulong block = machine.ReadEntry(address);
        ulong table = BuildSplit(ref machine, ipa, block, level, toLevel);
        Ipa start = new(ipa.Value & ~(LevelBytes(level) - 1));
        if (BreakBeforeMake.IsRequired<TFormat>(block, table, level, _forcedWriteBack, machine.BreakBeforeMakeSupport)
            == BreakReason.None)
        {
            machine.DsbInnerShareableStores();
            machine.WriteEntry(address, table);
            InvalidateIpa(ref machine, start, 0);
            return;
        }

        machine.WriteEntry(address, TFormat.Invalid);
        InvalidateIpa(ref machine, start, HintFor(ref machine, level));
        machine.WriteEntry(address, table);
        machine.DsbInnerShareableStores();
    }

    /// <summary>
    /// Fills tables with what a block maps, the lowest first, and gives the descriptor that leads to the topmost.
    /// </summary>
    private ulong BuildSplit(ref TMachine machine, Ipa ipa, ulong block, int level, int toLevel)
    {
        LeafAttributes attributes = TFormat.Attributes(block, _forcedWriteBack);
        Pa output = TFormat.OutputAddress(block, level);
        ulong child = 0;
        for (int at = toLevel; at > level; at--)
        {
            Pa table = machine.TakeTable();
            ulong offset = ipa.Value & (LevelBytes(level) - 1) & ~(LevelBytes(at - 1) - 1);
            ulong encoded = TFormat.LeafTemplate(attributes, at, _forcedWriteBack);
            for (int index = 0; index < EntriesPerTable; index++)
            {
                Pa leafOutput = output + offset + ((ulong)(uint)index << LevelShift(at));
                machine.WriteEntry(table + ((ulong)(uint)index << EntryShift), TFormat.Leaf(encoded, leafOutput));
            }

            _leaves[at] += (uint)EntriesPerTable;
            if (at < toLevel)
            {
                machine.WriteEntry(EntryIn(table, ipa, at), child);
                _leaves[at]--;
            }

            child = TFormat.WithTableCount(TFormat.Table(table), EntriesPerTable);
        }

        _leaves[level]--;
        _tables += (uint)(toLevel - level);
        return child;
    }

    private readonly void DissolveIfContiguous(ref TMachine machine, Ipa ipa, int level, ulong entry)
    {
        if (TFormat.IsContiguous(entry))
        {
            Dissolve(ref machine, ipa, level);
        }
    }

    /// <summary>
    /// Takes the contiguous bit off the run of leaves around an address: all are broken, the TLB is invalidated, all
    /// are made again. Leaves of a run may only be changed one by one when no TLB takes them for one.
    /// </summary>
    private readonly void Dissolve(ref TMachine machine, Ipa ipa, int level)
    {
        int runShift = TFormat.ContiguousShift(level);
        ulong bytes = LevelBytes(level) << runShift;
        Ipa start = new(ipa.Value & ~(bytes - 1));
        Pa first = Descend(ref machine, start, level, out _, out _);
        Pa end = first + (1UL << (runShift + EntryShift));
        for (Pa address = first; address < end; address += 1UL << EntryShift)
        {
            // Hardware may set the access flag until the entry is invalid.
            ulong entry = machine.ReadEntry(address);
            while (!machine.CompareExchangeEntry(address, entry, TFormat.Park(entry)))
            {
                entry = machine.ReadEntry(address);
            }
        }

        MaintenanceDebt broken = MaintenanceDebt.Range(start, start + bytes, level);
        Pay(ref machine, in broken);
        for (Pa address = first; address < end; address += 1UL << EntryShift)
        {
            ulong entry = TFormat.Unpark(machine.ReadEntry(address));
            machine.WriteEntry(address, TFormat.WithContiguous(entry, false));
        }

        machine.DsbInnerShareableStores();
    }
}
