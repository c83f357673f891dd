using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

// Making leaves.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>
    /// Maps one leaf: a page at level 3, a block above. Owes nothing when it returns.
    /// <para>
    /// Where the same output is mapped at that level already, the attributes are changed: in place if the architecture
    /// allows it, else by break-before-make, and invalidated either way.
    /// </para>
    /// <para>
    /// Errors: IllegalLevel, Misaligned, OutOfRange; OutOfTables; AlreadyMapped to another output (see
    /// <see cref="Replace"/>); BlockInTheWay (see <see cref="SplitBlock"/>); TableInTheWay (see
    /// <see cref="ReplaceTableByBlock"/>). The table is as it was then.
    /// </para>
    /// </summary>
    public Stage2Result Map(ref TMachine machine, Ipa ipa, Pa output, int level, LeafAttributes attributes)
    {
        // The level as a constant: pages are what is mapped most.
        return level == Stage2Geometry.LastLevel
            ? MapLeaf(ref machine, ipa, output, Stage2Geometry.LastLevel, attributes)
            : MapLeaf(ref machine, ipa, output, level, attributes);
    }

    /// <summary>
    /// Maps a page that nothing maps yet, from its finished descriptor: for the memory layer's faults, which know that
    /// the address lies in a slot and that the frame is one. Owes nothing.
    /// </summary>
    /// <param name="ipa">Any address in the page.</param>
    /// <param name="leaf">A descriptor of the format, for a page below the output limit.</param>
    /// <returns>Done; AlreadyMapped, BlockInTheWay; OutOfTables.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Stage2Result MapNewPage(ref TMachine machine, Ipa ipa, ulong leaf)
    {
        if (IsFork && OwnPath(ref machine, ipa, Stage2Geometry.LastLevel) != Stage2Result.Done)
        {
            return Stage2Result.OutOfTables;
        }

        Pa parent = default;
        int shift = _geometry.StartShift;
        Pa address = RootEntry(ipa);
        ulong entry = machine.ReadEntry(address);
        while (shift > TFormat.GranuleShift && TFormat.IsValid(entry))
        {
            if (!TFormat.IsTable(entry, AboveLastLevel))
            {
                return Stage2Result.BlockInTheWay;
            }

            parent = address;
            shift -= TFormat.BitsPerLevel;
            address = EntryAt(TFormat.TableAddress(entry), ipa, shift);
            entry = machine.ReadEntry(address);
        }

        if (TFormat.IsValid(entry))
        {
            return Stage2Result.AlreadyMapped;
        }

        if (shift > TFormat.GranuleShift)
        {
            return MapThroughNewTables(ref machine, ipa, leaf, Stage2Geometry.LastLevel);
        }

        WriteLeaf(ref machine, address, parent, leaf, Stage2Geometry.LastLevel);
        return Stage2Result.Done;
    }

    /// <summary>
    /// Maps a range, in which nothing is mapped yet, by the leaves that <paramref name="options"/> ask for. All or
    /// nothing: the range is walked once without writing, and the tables that it takes are reserved, before the first
    /// entry is written. Takes time by the leaves made: a caller with a limit calls it for parts. Owes nothing.
    /// </summary>
    /// <returns>Done; Misaligned, OutOfRange; AlreadyMapped, BlockInTheWay; OutOfTables.</returns>
    public Stage2Result MapRange(ref TMachine machine, Ipa ipa, Pa output, ulong bytes, LeafAttributes attributes,
        MapOptions options)
    {
        if (((ipa.Value | output.Value | bytes) & (GranuleBytes - 1)) != 0)
        {
            return Stage2Result.Misaligned;
        }

        if (!Exists || bytes == 0
            || ipa.Value >= _geometry.IpaLimit.Value || bytes > _geometry.IpaLimit - ipa
            || output.Value >= _geometry.OutputLimit.Value || bytes > _geometry.OutputLimit - output)
        {
            return Stage2Result.OutOfRange;
        }

        Stage2Result plan = PlanRange(ref machine, ipa, output, bytes, options, out uint tables);
        if (plan == Stage2Result.Done && IsFork)
        {
            plan = OwnRange(ref machine, ipa, ipa + bytes, Stage2Geometry.LastLevel);
        }

        if (plan != Stage2Result.Done)
        {
            return plan;
        }

        if (!machine.ReserveTables(tables))
        {
            return Stage2Result.OutOfTables;
        }

        while (bytes != 0)
        {
            ulong done = MapRun(ref machine, ipa, output, bytes, attributes, options);
            ipa += done;
            output += done;
            bytes -= done;
        }

        machine.DsbInnerShareableStores();
        return Stage2Result.Done;
    }

    /// <summary>
    /// Replaces the leaf at an IPA by one of the same level with another output (page replacement, copy on write):
    /// break, invalidate, maintain the old memory, make. Owes nothing.
    /// </summary>
    /// <param name="previous">Where the leaf led before. Its memory may be reused at once, unless the TLB
    /// invalidation was elided.</param>
    /// <returns>Done; NotMapped; Misaligned or OutOfRange for the output; OutOfTables, of a fork.</returns>
    public Stage2Result Replace(ref TMachine machine, Ipa ipa, Pa output, LeafAttributes attributes, UnmapFlags flags,
        out Pa previous)
    {
        previous = default;
        if (!Exists || ipa >= _geometry.IpaLimit)
        {
            return Stage2Result.OutOfRange;
        }

        Pa address = Descend(ref machine, ipa, Stage2Geometry.LastLevel, out int level, out ulong entry);
        if (!TFormat.IsValid(entry))
        {
            return Stage2Result.NotMapped;
        }

        Ipa start = new(ipa.Value & ~(LevelBytes(level) - 1));
        Stage2Result validity = ValidateLeaf(start, output, level);
        if (validity != Stage2Result.Done)
        {
            return validity;
        }

        if (IsFork)
        {
            if (OwnPath(ref machine, ipa, level) != Stage2Result.Done)
            {
                return Stage2Result.OutOfTables;
            }

            address = Descend(ref machine, ipa, level, out _, out _);
        }

        DissolveIfContiguous(ref machine, start, level, entry);
        previous = TFormat.OutputAddress(entry, level);
        machine.WriteEntry(address, TFormat.Invalid);
        if ((flags & UnmapFlags.ElideTlbInvalidation) == 0)
        {
            InvalidateIpa(ref machine, start, HintFor(ref machine, level));
        }

        if (OwesCacheMaintenance(entry, flags))
        {
            machine.CleanInvalidateToPoC(previous, LevelBytes(level));
            machine.DsbFullSystem();
        }

        machine.WriteEntry(address, TFormat.Leaf(TFormat.LeafTemplate(attributes, level, _forcedWriteBack), output));
        machine.DsbInnerShareableStores();
        return Stage2Result.Done;
    }

    /// <summary>
    /// The walk, and the write where it reached the level and found nothing. What is rarer is left to calls in the last
    /// place, so that the common way holds nothing across calls but the barrier.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Stage2Result MapLeaf(ref TMachine machine, Ipa ipa, Pa output, int level, LeafAttributes attributes)
    {
        Stage2Result validity = ValidateLeaf(ipa, output, level);
        if (validity != Stage2Result.Done)
        {
            return validity;
        }

        if (IsFork && OwnPath(ref machine, ipa, level) != Stage2Result.Done)
        {
            return Stage2Result.OutOfTables;
        }

        Pa parent = default;
        int shift = _geometry.StartShift;
        Pa address = RootEntry(ipa);
        ulong entry = machine.ReadEntry(address);
        while (shift > LevelShift(level) && TFormat.IsValid(entry))
        {
            if (!TFormat.IsTable(entry, AboveLastLevel))
            {
                return Stage2Result.BlockInTheWay;
            }

            parent = address;
            shift -= TFormat.BitsPerLevel;
            address = EntryAt(TFormat.TableAddress(entry), ipa, shift);
            entry = machine.ReadEntry(address);
        }

        if (TFormat.IsValid(entry))
        {
            return Remap(ref machine, ipa, address, output, level, attributes);
        }

        ulong leaf = TFormat.Leaf(TFormat.LeafTemplate(attributes, level, _forcedWriteBack), output);
        if (shift > LevelShift(level))
        {
            return MapThroughNewTables(ref machine, ipa, leaf, level);
        }

        WriteLeaf(ref machine, address, parent, leaf, level);
        return Stage2Result.Done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void WriteLeaf(ref TMachine machine, Pa address, Pa parent, ulong leaf, int level)
    {
        machine.WriteEntry(address, leaf);
        _leaves[level]++;
        if (parent.Value != 0)
        {
            machine.WriteEntry(parent, TFormat.CountingOneMore(machine.ReadEntry(parent)));
        }

        machine.DsbInnerShareableStores();
    }

    /// <summary>Maps a leaf where tables are missing on the way.</summary>
    private Stage2Result MapThroughNewTables(ref TMachine machine, Ipa ipa, ulong leaf, int level)
    {
        Pa address = Descend(ref machine, ipa, level, out int from, out _);
        if (!machine.ReserveTables((uint)(level - from)))
        {
            return Stage2Result.OutOfTables;
        }

        ulong path = BuildPath(ref machine, ipa, leaf, from, level);
        machine.WriteEntry(address, path);
        _leaves[level]++;
        AddToParent(ref machine, ipa, from);
        machine.DsbInnerShareableStores();
        return Stage2Result.Done;
    }

    /// <summary>
    /// Links new tables from a level down to a leaf, which is in the lowest of them, and gives the descriptor for the
    /// topmost. They are complete, and seen to be, before anything leads to them.
    /// </summary>
    private ulong BuildPath(ref TMachine machine, Ipa ipa, ulong leaf, int from, int level)
    {
        ulong entry = leaf;
        for (int at = level; at > from; at--)
        {
            Pa table = machine.TakeTable();
            machine.WriteEntry(EntryIn(table, ipa, at), entry);
            entry = TFormat.WithTableCount(TFormat.Table(table), 1);
        }

        _tables += (uint)(level - from);
        machine.DsbInnerShareableStores();
        return entry;
    }

    /// <summary>Maps over a valid entry of the leaf's own level.</summary>
    private readonly Stage2Result Remap(ref TMachine machine, Ipa ipa, Pa address, Pa output, int level,
        LeafAttributes attributes)
    {
        ulong entry = machine.ReadEntry(address);
        if (TFormat.IsTable(entry, level))
        {
            return Stage2Result.TableInTheWay;
        }

        if (TFormat.OutputAddress(entry, level).Value != output.Value)
        {
            return Stage2Result.AlreadyMapped;
        }

        ulong leaf = TFormat.Leaf(TFormat.LeafTemplate(attributes, level, _forcedWriteBack), output);
        if (TFormat.WithContiguous(entry, false) == leaf)
        {
            return Stage2Result.Done;
        }

        DissolveIfContiguous(ref machine, ipa, level, entry);
        entry = machine.ReadEntry(address);
        BreakReason reason = BreakBeforeMake.IsRequired<TFormat>(entry, leaf, level, _forcedWriteBack,
            machine.BreakBeforeMakeSupport);
        if (reason == BreakReason.None)
        {
            while (!machine.CompareExchangeEntry(address, entry, leaf))
            {
                entry = machine.ReadEntry(address);
            }

            InvalidateIpa(ref machine, ipa, HintFor(ref machine, level));
            return Stage2Result.Done;
        }

        machine.WriteEntry(address, TFormat.Invalid);
        InvalidateIpa(ref machine, ipa, HintFor(ref machine, level));
        machine.WriteEntry(address, leaf);
        machine.DsbInnerShareableStores();
        return Stage2Result.Done;
    }

    /// <summary>The level of the largest leaf at the head of a range.</summary>
    private readonly int LargestLevel(Ipa ipa, Pa output, ulong bytes, MapOptions options)
    {
        int level = Stage2Geometry.LastLevel;
        if ((options & MapOptions.PagesOnly) != 0)
        {
            return level;
        }

        while (level > _geometry.StartLevel && TFormat.HasLeafAt(level - 1)
            && ((ipa.Value | output.Value) & (LevelBytes(level - 1) - 1)) == 0 && bytes >= LevelBytes(level - 1))
        {
            level--;
        }

        return level;
    }

    /// <summary>
    /// How many leaves of a level can follow each other: to the end of the table, which is the only place where a
    /// larger block could begin, or of the range.
    /// </summary>
    private readonly ulong LeavesAtLevel(Ipa ipa, ulong bytes, int level)
    {
        int shift = LevelShift(level);
        ulong leaves = bytes >> shift;
        if (level == _geometry.StartLevel)
        {
            return leaves;
        }

        ulong tableEnd = (ipa.Value | (LevelBytes(level - 1) - 1)) + 1;
        ulong inTable = (tableEnd - ipa.Value) >> shift;
        return leaves < inTable ? leaves : inTable;
    }

    /// <summary>Walks a range as it will be mapped, and counts the tables that are missing.</summary>
    private readonly Stage2Result PlanRange(ref TMachine machine, Ipa ipa, Pa output, ulong bytes, MapOptions options,
        out uint tables)
    {
        // The end of what the last table of each level covers that exists only in the plan.
        LevelCounts plannedEnd = default;
        tables = 0;
        while (bytes != 0)
        {
            int level = LargestLevel(ipa, output, bytes, options);
            ulong leaves = LeavesAtLevel(ipa, bytes, level);
            Pa address = Descend(ref machine, ipa, level, out int at, out ulong entry);
            if (TFormat.IsValid(entry))
            {
                return at < level ? Stage2Result.BlockInTheWay
                    : TFormat.IsTable(entry, at) ? Stage2Result.TableInTheWay : Stage2Result.AlreadyMapped;
            }

            for (int missing = at + 1; missing <= level; missing++)
            {
                if (ipa.Value >= plannedEnd[missing])
                {
                    plannedEnd[missing] = (ipa.Value | (LevelBytes(missing - 1) - 1)) + 1;
                    tables++;
                }
            }

            for (ulong leaf = 1; at == level && leaf < leaves; leaf++)
            {
                entry = machine.ReadEntry(address + (leaf << EntryShift));
                if (TFormat.IsValid(entry))
                {
                    return TFormat.IsTable(entry, level) ? Stage2Result.TableInTheWay : Stage2Result.AlreadyMapped;
                }
            }

            ulong done = leaves << LevelShift(level);
            ipa += done;
            output += done;
            bytes -= done;
        }

        return Stage2Result.Done;
    }

    /// <summary>Maps the head of a planned range: leaves of one level in one table. Gives the bytes mapped.</summary>
    private ulong MapRun(ref TMachine machine, Ipa ipa, Pa output, ulong bytes, LeafAttributes attributes,
        MapOptions options)
    {
        int level = LargestLevel(ipa, output, bytes, options);
        ulong leaves = LeavesAtLevel(ipa, bytes, level);
        int shift = LevelShift(level);
        ulong contiguousBytes = 1UL << (shift + TFormat.ContiguousShift(level));
        bool mayBeContiguous = (options & MapOptions.Contiguous) != 0 && TFormat.ContiguousShift(level) != 0
            && ((ipa.Value ^ output.Value) & (contiguousBytes - 1)) == 0;

        Pa address = EntryFor(ref machine, ipa, level, (int)leaves);
        ulong attributesOnly = TFormat.LeafTemplate(attributes, level, _forcedWriteBack);
        ulong first = ipa.Value;
        ulong last = first + (leaves << shift);
        for (ulong at = first; at < last; at += 1UL << shift)
        {
            ulong runStart = at & ~(contiguousBytes - 1);
            bool isContiguous = mayBeContiguous && runStart >= first && runStart + contiguousBytes <= last;
            ulong leaf = TFormat.Leaf(attributesOnly, output + (at - first));
            machine.WriteEntry(address, isContiguous ? TFormat.WithContiguous(leaf, true) : leaf);
            address += 1UL << EntryShift;
        }

        _leaves[level] += leaves;
        return leaves << shift;
    }

    /// <summary>
    /// The entry of a level for an address, in tables made as far as they are missing, the last of which counts
    /// <paramref name="added"/> entries more. The tables were reserved.
    /// </summary>
    private Pa EntryFor(ref TMachine machine, Ipa ipa, int level, int added)
    {
        Pa address = RootEntry(ipa);
        for (int at = _geometry.StartLevel; at < level; at++)
        {
            ulong found = machine.ReadEntry(address);
            ulong entry = found;
            if (!TFormat.IsValid(found))
            {
                entry = TFormat.Table(machine.TakeTable());
                _tables++;
                machine.DsbInnerShareableStores();
                AddToParent(ref machine, ipa, at);
            }

            if (at + 1 == level)
            {
                entry = TFormat.WithTableCount(entry, TFormat.TableCount(entry) + added);
            }

            if (entry != found)
            {
                machine.WriteEntry(address, entry);
            }

            address = EntryIn(TFormat.TableAddress(entry), ipa, at + 1);
        }

        return address;
    }

    /// <summary>Counts one more entry in the table of a level that covers an address; the root has no count.</summary>
    private readonly void AddToParent(ref TMachine machine, Ipa ipa, int level)
    {
        if (level == _geometry.StartLevel)
        {
            return;
        }

        Pa parent = Descend(ref machine, ipa, level - 1, out _, out ulong entry);
        machine.WriteEntry(parent, TFormat.CountingOneMore(entry));
    }

    /// <summary>The level to name in a TLB invalidation of one leaf: 0, none, without FEAT_TTL.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int HintFor(ref TMachine machine, int level) => machine.HasLevelHint ? level : 0;
}
