using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

// How addresses become entries, and how a range becomes runs of entries: what all operations share.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>Adjacent entries of one table, none of which but the first has been looked at.</summary>
    private struct Run
    {
        /// <summary>Where the first entry lies.</summary>
        public Pa Address;

        /// <summary>
        /// The first address that the first entry maps; before the walk's own where a block is entered.
        /// </summary>
        public Ipa Start;

        public int Level;

        public ulong Entries;
    }

    /// <summary>Tables look alike at every level that has them: a constant spares walks the comparison.</summary>
    private const int AboveLastLevel = Stage2Geometry.LastLevel - 1;

    private static int EntriesPerTable
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1 << TFormat.BitsPerLevel;
    }

    private static ulong GranuleBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 1UL << TFormat.GranuleShift;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int LevelShift(int level) => Stage2Geometry.LevelShift<TFormat>(level);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong LevelBytes(int level) => Stage2Geometry.LevelBytes<TFormat>(level);

    /// <summary>The root's entry for an address; concatenated tables are one long table.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly Pa RootEntry(Ipa ipa) =>
        new(_root.Value + ((ipa.Value >> _geometry.StartShift) << EntryShift));

    /// <summary>The entry for an address in a table of a level below the root's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Pa EntryIn(Pa table, Ipa ipa, int level) => EntryAt(table, ipa, LevelShift(level));

    /// <summary>The entry for an address in a table whose entries map 2^<paramref name="shift"/> bytes each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Pa EntryAt(Pa table, Ipa ipa, int shift)
    {
        ulong index = (ipa.Value >> shift) & (ulong)(uint)(EntriesPerTable - 1);
        return new Pa(table.Value + (index << EntryShift));
    }

    /// <summary>Walks towards a level, and ends there or at the first entry that is no table.</summary>
    private readonly Pa Descend(ref TMachine machine, Ipa ipa, int towards, out int level, out ulong entry)
    {
        int at = _geometry.StartLevel;
        int shift = _geometry.StartShift;
        Pa address = RootEntry(ipa);
        ulong found = machine.ReadEntry(address);
        while (at < towards && TFormat.IsValid(found) && TFormat.IsTable(found, AboveLastLevel))
        {
            at++;
            shift -= TFormat.BitsPerLevel;
            address = EntryAt(TFormat.TableAddress(found), ipa, shift);
            found = machine.ReadEntry(address);
        }

        level = at;
        entry = found;

        return address;
    }

    /// <summary>
    /// The entries to do next from an address on: of the table that the walk ends in, as far as the range, the table
    /// and the budget reach. A budget that would end inside a contiguous run is stretched to the run's end: half a
    /// run must not stay behind while the other half is settled.
    /// </summary>
    private readonly Run RunAt(ref TMachine machine, Ipa ipa, Ipa end, ulong budget,
        int towards = Stage2Geometry.LastLevel)
    {
        Run run;
        run.Address = Descend(ref machine, ipa, towards, out run.Level, out _);
        int shift = LevelShift(run.Level);
        run.Start = new Ipa(ipa.Value >> shift << shift);

        ulong stop = end.Value;
        if (run.Level > _geometry.StartLevel)
        {
            ulong tableEnd = (run.Start.Value | (LevelBytes(run.Level - 1) - 1)) + 1;
            stop = stop < tableEnd ? stop : tableEnd;
        }

        run.Entries = ((stop - run.Start.Value - 1) >> shift) + 1;
        if (run.Entries > budget)
        {
            run.Entries = StretchToContiguousEnd(ref machine, run, budget);
        }

        return run;
    }

    private static ulong StretchToContiguousEnd(ref TMachine machine, Run run, ulong budget)
    {
        ulong mask = (1UL << TFormat.ContiguousShift(run.Level)) - 1;
        ulong index = (run.Start.Value >> LevelShift(run.Level)) + budget;
        if ((index & mask) == 0)
        {
            return budget;
        }

        ulong entry = machine.ReadEntry(run.Address + (budget << EntryShift));
        bool isInside = TFormat.IsValid(entry) && !TFormat.IsTable(entry, run.Level) && TFormat.IsContiguous(entry);
        ulong stretched = budget + mask + 1 - (index & mask);
        return !isInside ? budget : stretched < run.Entries ? stretched : run.Entries;
    }

    /// <summary>What is wrong with a range and its budget; Done where nothing is, and where nothing is left.</summary>
    private readonly Stage2Result Validate(ref RangeCursor cursor)
    {
        if (!Exists || cursor.Budget == 0 || cursor.End < cursor.Next || cursor.End > _geometry.IpaLimit)
        {
            return Stage2Result.OutOfRange;
        }

        if (!cursor.Next.IsAlignedTo(GranuleBytes) || !cursor.End.IsAlignedTo(GranuleBytes))
        {
            return Stage2Result.Misaligned;
        }

        bool isEmpty = cursor.Next.Value == cursor.End.Value;
        return isEmpty && !cursor.IsFinished ? Stage2Result.OutOfRange : Stage2Result.Done;
    }

    /// <summary>Notes how far a call came: the range's end, or past it where a block was taken whole.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Stage2Result Finish(ref RangeCursor cursor, Ipa reached)
    {
        cursor.IsFinished = reached >= cursor.End;
        cursor.Next = cursor.IsFinished ? cursor.End : reached;
        return cursor.IsFinished ? Stage2Result.Done : Stage2Result.Again;
    }

    /// <summary>What is left of a budget after a run of which a part was examined.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Spend(ulong budget, in Run run, Ipa reached)
    {
        ulong examined = (reached - run.Start) >> LevelShift(run.Level);
        return examined < budget ? budget - examined : 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong BudgetOf(in RangeCursor cursor) =>
        cursor.Budget == RangeCursor.Unlimited ? ulong.MaxValue : cursor.Budget;

    /// <summary>What is wrong with a leaf that is to be made.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly Stage2Result ValidateLeaf(Ipa ipa, Pa output, int level)
    {
        // No walk starts below the last level: there, a constant level leaves nothing to check.
        if ((uint)level > Stage2Geometry.LastLevel || !TFormat.HasLeafAt(level)
            || (level != Stage2Geometry.LastLevel && level < _geometry.StartLevel))
        {
            return Stage2Result.IllegalLevel;
        }

        if (((ipa.Value | output.Value) & (LevelBytes(level) - 1)) != 0)
        {
            return Stage2Result.Misaligned;
        }

        bool isInside = Exists && ipa.Value >> _geometry.IpaBits == 0 && output.Value >> _geometry.OutputBits == 0;
        return isInside ? Stage2Result.Done : Stage2Result.OutOfRange;
    }
}
