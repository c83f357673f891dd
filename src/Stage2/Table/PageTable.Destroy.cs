using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

// The end of tables: of one that a block replaces, and of all of them.
public partial struct PageTable<TFormat, TMachine>
{
    /// <summary>The tables that lead to where a walk is, one for each level.</summary>
    [InlineArray(Stage2Geometry.LastLevel + 1)]
    private struct TablePath
    {
        private Pa _first;
    }

    /// <summary>
    /// Maps a block where a table is, as the series' retry does: unmaps the block's range eagerly by the flags (patch 6
    /// elides cache maintenance there: the same memory is mapped again at once), then maps the block. Owes nothing but
    /// what the flags elide. Where there is no table it is <see cref="Map"/>.
    /// </summary>
    public Stage2Result ReplaceTableByBlockEager<TSink>(ref TMachine machine, Ipa ipa, Pa output, int level,
        LeafAttributes attributes, UnmapFlags flags, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        Stage2Result result = Map(ref machine, ipa, output, level, attributes);
        if (result != Stage2Result.TableInTheWay)
        {
            return result;
        }

        // Emptying a table can unlink those above it, and the block would need them again: all could come to nothing
        // between the two. So they are reserved first.
        if (!machine.ReserveTables((uint)(level - _geometry.StartLevel)))
        {
            return Stage2Result.OutOfTables;
        }

        RangeCursor cursor = new(ipa, LevelBytes(level));
        result = UnmapEager(ref machine, ref cursor, flags, PartialBlock.TakeWhole, ref sink);
        return result == Stage2Result.Done ? Map(ref machine, ipa, output, level, attributes) : result;
    }

    /// <summary>
    /// Maps a block where a table is: unlinks the table, invalidates once, tells the sink of the leaves (cleaning and
    /// invalidating their memory unless elided), frees the tables, and makes the block. Owes nothing: this is
    /// break-before-make. Where there is no table it is <see cref="Map"/>.
    /// </summary>
    public Stage2Result ReplaceTableByBlock<TSink>(ref TMachine machine, Ipa ipa, Pa output, int level,
        LeafAttributes attributes, UnmapFlags flags, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        Stage2Result result = Map(ref machine, ipa, output, level, attributes);
        if (result != Stage2Result.TableInTheWay)
        {
            return result;
        }

        Pa address = Descend(ref machine, ipa, level, out _, out ulong entry);
        machine.WriteEntry(address, TFormat.Invalid);
        if ((flags & UnmapFlags.ElideTlbInvalidation) == 0)
        {
            MaintenanceDebt unlinked = MaintenanceDebt.Range(ipa, ipa + LevelBytes(level), 0);
            Pay(ref machine, in unlinked);
        }

        ReleaseTables(ref machine, TFormat.TableAddress(entry), level + 1, ipa, (ulong)(uint)EntriesPerTable, true,
            flags, ref sink);
        machine.ReturnTable(TFormat.TableAddress(entry));
        _tables--;
        ulong encoded = TFormat.LeafTemplate(attributes, level, _forcedWriteBack);
        machine.WriteEntry(address, TFormat.Leaf(encoded, output));
        machine.DsbInnerShareableStores();
        _leaves[level]++;
        return Stage2Result.Done;
    }

    /// <summary>
    /// Ends the table as Linux 5.5 did: all of it is unmapped eagerly by the flags, then the root is dropped and freed.
    /// Where TLB invalidation was elided, the VMID is invalidated in between. To be called, with a cursor over the
    /// <see cref="WholeRange"/>, until the answer is not Again.
    /// </summary>
    /// <returns>Done or Again; OutOfRange for another cursor, and then the root stays.</returns>
    public Stage2Result DestroyEager<TSink>(ref TMachine machine, ref RangeCursor cursor, UnmapFlags flags,
        ref TSink sink)
        where TSink : struct, ILeafSink
    {
        Stage2Result result = UnmapEager(ref machine, ref cursor, flags, PartialBlock.TakeWhole, ref sink);
        if (result != Stage2Result.Done)
        {
            return result;
        }

        if (_tables != _geometry.RootTables || !HasNoLeaves())
        {
            return Stage2Result.OutOfRange;
        }

        Pa root = _root;
        _root = default;
        if ((flags & UnmapFlags.ElideTlbInvalidation) != 0)
        {
            InvalidateVmid(ref machine);
        }

        machine.ReturnRoot(root, _geometry.RootTables);
        _tables = 0;
        return Stage2Result.Done;
    }

    /// <summary>
    /// Ends the table as patch 5 of the series was posted (20191213182503.14460-6-maz@kernel.org): the walk elides both
    /// kinds of maintenance and frees tables as they become empty, the root is dropped, and then the VMID is
    /// invalidated, once. Legal only while no PE can have the VMID's VTTBR loaded: tables are freed before the
    /// invalidation. <see cref="Destroy"/> has the order that is always right.
    /// </summary>
    public Stage2Result DestroyAsPosted<TSink>(ref TMachine machine, ref RangeCursor cursor, ref TSink sink)
        where TSink : struct, ILeafSink =>
        DestroyEager(ref machine, ref cursor, ElideAll, ref sink);

    /// <summary>
    /// Ends the table without visiting leaves: the root is unlinked, the VMID invalidated once, the DSB completed, and
    /// only then the tables are freed. Takes time by the tables. No PE loads the VTTBR any more when this is called;
    /// the leaves' memory is the caller's to take back, after it.
    /// </summary>
    public void Destroy(ref TMachine machine)
    {
        Pa root = _root;
        DestroyByOwner(ref machine);
        if (root.Value == 0)
        {
            return;
        }

        NoSink sink = default;
        ulong entries = _geometry.IpaLimit.Value >> LevelShift(_geometry.StartLevel);
        ReleaseTables(ref machine, root, _geometry.StartLevel, default, entries, false,
            UnmapFlags.ElideCacheMaintenance, ref sink);
        machine.ReturnRoot(root, _geometry.RootTables);
        _tables = 0;
    }

    /// <summary>
    /// Ends the table where the memory layer takes back all table pages wholesale, root included: unlinks the root,
    /// invalidates the VMID once, and completes the DSB. Takes the same time for every size.
    /// </summary>
    public void DestroyByOwner(ref TMachine machine)
    {
        if (!Exists)
        {
            return;
        }

        _root = default;
        InvalidateVmid(ref machine);
        _leaves = default;
        _tables = 0;
    }

    private readonly bool HasNoLeaves()
    {
        ulong leaves = 0;
        for (int level = 0; level <= Stage2Geometry.LastLevel; level++)
        {
            leaves |= _leaves[level];
        }

        return leaves == 0;
    }

    /// <summary>
    /// Frees the tables below one that is unlinked and that no TLB leads to any more, but not that one. Level-3 tables
    /// are not read unless leaves are asked for.
    /// </summary>
    /// <param name="top">The unlinked table, or concatenated tables, of <paramref name="topLevel"/>.</param>
    /// <param name="ipa">The first address that it maps.</param>
    /// <param name="visitsLeaves">Whether leaves are uncounted, maintained by the flags, and told to the sink.</param>
    private void ReleaseTables<TSink>(ref TMachine machine, Pa top, int topLevel, Ipa ipa, ulong entries,
        bool visitsLeaves, UnmapFlags flags, ref TSink sink)
        where TSink : struct, ILeafSink
    {
        TablePath path = default;
        path[topLevel] = top;
        Ipa topStart = ipa;
        Ipa end = ipa + (entries << LevelShift(topLevel));
        int level = topLevel;
        bool cleaned = false;
        while (ipa < end)
        {
            Pa address = level == topLevel
                ? top + (((ipa - topStart) >> LevelShift(level)) << EntryShift)
                : EntryIn(path[level], ipa, level);
            ulong entry = machine.ReadEntry(address);
            if (TFormat.IsValid(entry) && TFormat.IsTable(entry, level)
                && (visitsLeaves || level + 1 < Stage2Geometry.LastLevel))
            {
                level++;
                path[level] = TFormat.TableAddress(entry);
                continue;
            }

            if (TFormat.IsValid(entry))
            {
                if (TFormat.IsTable(entry, level))
                {
                    machine.ReturnTable(TFormat.TableAddress(entry));
                    _tables--;
                }
                else if (visitsLeaves)
                {
                    cleaned |= ReleaseLeaf(ref machine, entry, ipa, level, flags, ref sink);
                }
            }

            ipa += LevelBytes(level);
            while (level > topLevel && ipa.IsAlignedTo(LevelBytes(level - 1)))
            {
                machine.ReturnTable(path[level]);
                _tables--;
                level--;
            }
        }

        if (cleaned)
        {
            machine.DsbFullSystem();
        }
    }

    /// <summary>Uncounts a leaf of an unlinked table. True when its memory was cleaned.</summary>
    private bool ReleaseLeaf<TSink>(ref TMachine machine, ulong entry, Ipa ipa, int level, UnmapFlags flags,
        ref TSink sink)
        where TSink : struct, ILeafSink
    {
        Pa output = TFormat.OutputAddress(entry, level);
        bool cleans = OwesCacheMaintenance(entry, flags);
        if (cleans)
        {
            machine.CleanInvalidateToPoC(output, LevelBytes(level));
        }

        _leaves[level]--;
        sink.Unlinked(ipa, output, level, 1);
        return cleans;
    }
}
