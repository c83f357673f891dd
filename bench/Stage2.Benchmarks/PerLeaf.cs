using System;
using BenchmarkDotNet.Attributes;

namespace Quietus.Stage2.Benchmarks;

/// <summary>
/// The verbs over a million leaves, 4 GB by 4K pages or 2 TB by 2M blocks. Every figure but the last is for one
/// leaf.
/// </summary>
public class PerLeaf
{
    private const int Leaves = 1 << 20;
    private const int EntriesPerTable = 512;
    private const uint Batch = 512;

    private PlainMemory _memory = null!;
    private PlainMachine _machine;
    private PageTable<Arm<Granule4K>, PlainMachine> _table;
    private Stage2Geometry _geometry;
    private int _level;
    private ulong _leafBytes;

    /// <summary>The size of a leaf.</summary>
    [Params("4K", "2M")]
    public string Leaf { get; set; } = "4K";

    [GlobalSetup]
    public void GlobalSetup()
    {
        _level = Leaf == "4K" ? 3 : 2;
        _leafBytes = Stage2Geometry.LevelBytes<Arm<Granule4K>>(_level);
        if (!Stage2Geometry.TryCreate<Arm<Granule4K>>(42, 48, out _geometry))
        {
            throw new InvalidOperationException("geometry");
        }

        // Tables of the leaves, and of the level above them.
        int tables = (Leaves / EntriesPerTable) + (Leaves / EntriesPerTable / EntriesPerTable) + 4;
        _memory = new PlainMemory(tables, (int)_geometry.RootTables);
        _machine = new PlainMachine(_memory);
    }

    [IterationSetup(Targets = [nameof(Map), nameof(MapRange)])]
    public void MakeEmpty()
    {
        // Whatever the last iteration left is destroyed, so that its tables come back.
        _table.Destroy(ref _machine);
        Check(PageTable<Arm<Granule4K>, PlainMachine>.Create(ref _machine, _geometry, new Vmid(1), out _table));
    }

    [IterationSetup(Targets =
        [nameof(UnmapEager), nameof(UnmapBatched), nameof(DestroyAsPosted), nameof(Destroy), nameof(DestroyByOwner)])]
    public void MakeFull()
    {
        // DestroyByOwner leaves the tables to their owner, who is here.
        GlobalSetup();
        _table = default;
        MakeEmpty();
        Check(MapRange());
    }

    [GlobalSetup(Target = nameof(Translate))]
    public void MakeFullOnce()
    {
        GlobalSetup();
        MakeFull();
    }

    /// <summary>One leaf from the start, so that no larger leaf fits anywhere.</summary>
    private Pa First => new(_leafBytes);

    /// <summary>One call for each leaf, as faults do.</summary>
    [Benchmark(OperationsPerInvoke = Leaves)]
    public Stage2Result Map()
    {
        Stage2Result result = Stage2Result.Done;
        for (ulong i = 0; i < Leaves && result == Stage2Result.Done; i++)
        {
            result = _table.Map(
                ref _machine, new Ipa(i * _leafBytes), First + (i * _leafBytes), _level, LeafAttributes.GuestMemory);
        }

        return result;
    }

    /// <summary>One call for all of them.</summary>
    [Benchmark(OperationsPerInvoke = Leaves)]
    public Stage2Result MapRange() => _table.MapRange(
        ref _machine, default, First, Leaves * _leafBytes, LeafAttributes.GuestMemory, MapOptions.None);

    /// <summary>A page-table walk in software, for each leaf in order.</summary>
    [Benchmark(OperationsPerInvoke = Leaves)]
    public ulong Translate()
    {
        ulong sum = 0;
        for (ulong i = 0; i < Leaves; i++)
        {
            sum += _table.Translate(ref _machine, new Ipa(i * _leafBytes)).Output.Value;
        }

        return sum;
    }

    /// <summary>As Linux 5.5: every leaf and every emptied table maintained by itself.</summary>
    [Benchmark(OperationsPerInvoke = Leaves)]
    public Stage2Result UnmapEager()
    {
        RangeCursor cursor = _table.WholeRange();
        NoSink sink = default;
        return _table.UnmapEager(ref _machine, ref cursor, UnmapFlags.None, PartialBlock.TakeWhole, ref sink);
    }

    /// <summary>By batches of 512 entries, without cache maintenance: unlink, invalidate, free.</summary>
    [Benchmark(OperationsPerInvoke = Leaves)]
    public Stage2Result UnmapBatched()
    {
        var cursor = new RangeCursor(default, Leaves * _leafBytes, Batch);
        NoSink sink = default;
        Stage2Result result;
        do
        {
            result = _table.Unmap(
                ref _machine, ref cursor, UnmapFlags.ElideCacheMaintenance, PartialBlock.TakeWhole, ref sink);
        }
        while (result == Stage2Result.Again);

        return result;
    }

    /// <summary>Patch 5: a walk that leaves the maintenance out, and one invalidation of the VMID.</summary>
    [Benchmark(OperationsPerInvoke = Leaves)]
    public Stage2Result DestroyAsPosted()
    {
        RangeCursor cursor = _table.WholeRange();
        NoSink sink = default;
        return _table.DestroyAsPosted(ref _machine, ref cursor, ref sink);
    }

    /// <summary>One invalidation of the VMID, then the tables go. Leaves are not visited.</summary>
    [Benchmark(OperationsPerInvoke = Leaves)]
    public void Destroy() => _table.Destroy(ref _machine);

    /// <summary>
    /// As the memory layer's: the tables go back with the VM's memory, by its owner. This figure is for the whole
    /// table, not for a leaf.
    /// </summary>
    [Benchmark]
    public void DestroyByOwner() => _table.DestroyByOwner(ref _machine);

    private static void Check(Stage2Result result)
    {
        if (result != Stage2Result.Done)
        {
            throw new InvalidOperationException(result.ToString());
        }
    }
}
