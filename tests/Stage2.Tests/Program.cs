using System.Collections.Generic;
using System.Linq;
using Quietus.Testing;
using Shouldly;

namespace Quietus.Stage2.Tests;

/// <summary>
/// Runs instructions, each a number that says what to do and where, on a table and on the model, and compares: results,
/// leaves, translations, what the sink was told, and that all that was unlinked was invalidated and cleaned.
/// </summary>
internal sealed class Program<TFormat>
    where TFormat : struct, IDescriptorFormat
{
    private readonly Rig<TFormat> _rig;
    private readonly Model<TFormat> _model;
    private readonly Stage2Geometry _geometry;
    private readonly List<Leaf> _unlinked = [];
    private MaintenanceDebt _debt;
    private ulong _bits;
    private int _steps;

    public Program(int ipaBits, ulong machine)
    {
        _rig = new Rig<TFormat>(ipaBits, world =>
        {
            world.HasForcedWriteBack = (machine & 1) != 0;
            world.HasRangeInvalidation = (machine & 2) != 0;
            world.HasLevelHint = (machine & 4) != 0;
            world.BreakBeforeMakeSupport = (BreakBeforeMakeSupport)((machine >> 3) & 3);
        });
        _geometry = _rig.Table.Geometry;
        _model = new Model<TFormat>(_geometry);
    }

    private static ulong Granule => Rig<TFormat>.Granule;

    private static int Entries => 1 << TFormat.BitsPerLevel;

    public void Run(ulong[] program)
    {
        foreach (ulong instruction in program)
        {
            _bits = instruction;
            Step();
            _steps++;
        }

        SettleAndCheck();
        DestroyAndCheck();
    }

    private void Step()
    {
        switch (Take(13))
        {
            case 0 or 1:
                Map();
                break;
            case 2 or 3:
                MapRange();
                break;
            case 4:
                Unmap(eager: false);
                break;
            case 5:
                Unmap(eager: true);
                break;
            case 6:
                Update();
                break;
            case 7:
                Age();
                break;
            case 8:
                Split();
                break;
            case 9:
                ReplaceTable(eager: false);
                break;
            case 10:
                ReplaceTable(eager: true);
                break;
            case 11:
                Replace();
                break;
            default:
                SettleAndCheck();
                break;
        }

        Probe();
        if (_steps % (Entries > 512 ? 8 : 1) == 0)
        {
            Compare(_rig.Audit());
        }
    }

    private void Map()
    {
        int level = AnyLevel();
        ulong ipa = AnyIpa() & ~(Rig<TFormat>.Bytes(level) - 1);
        ulong output = OutputFor(ipa) & ~(Rig<TFormat>.Bytes(level) - 1);
        LeafAttributes attributes = AnyAttributes();
        Stage2Result expected = _model.Map(ipa, output, level, attributes.Bits);
        _rig.Map(ipa, output, level, attributes).ShouldBe(expected);
    }

    private void MapRange()
    {
        (ulong start, ulong end) = AnyRange();
        ulong output = OutputFor(start);
        LeafAttributes attributes = AnyAttributes();
        MapOptions options = (MapOptions)Take(4);
        bool pagesOnly = (options & MapOptions.PagesOnly) != 0;
        Stage2Result expected = _model.MapRange(start, output, end - start, attributes.Bits, pagesOnly);
        Stage2Result result = _rig.Table.MapRange(ref _rig.Machine, new Ipa(start), new Pa(output), end - start,
            attributes, options);
        (result == Stage2Result.Done).ShouldBe(expected == Stage2Result.Done);
        result.ShouldBeOneOf(Stage2Result.Done, Stage2Result.AlreadyMapped, Stage2Result.BlockInTheWay,
            Stage2Result.TableInTheWay);
    }

    private void Unmap(bool eager)
    {
        (ulong start, ulong end) = AnyRange();
        PartialBlock partial = (PartialBlock)Take(2);
        UnmapFlags flags = (UnmapFlags)Take(4);
        RangeCursor cursor = new(new Ipa(start), end - start, AnyBudget());
        ListSink<TFormat> sink = new() { Unlinked = [] };
        List<Leaf> expected = _model.Unmap(start, end, partial == PartialBlock.Split);
        if ((flags & UnmapFlags.ElideTlbInvalidation) != 0)
        {
            // The licence of the elision: nothing else is outstanding.
            SettleOnly();
        }

        Stage2Result result;
        do
        {
            result = eager
                ? _rig.Table.UnmapEager(ref _rig.Machine, ref cursor, flags, partial, ref sink)
                : _rig.Table.Unmap(ref _rig.Machine, ref cursor, flags, partial, ref sink);
        }
        while (result == Stage2Result.Again);
        result.ShouldBe(Stage2Result.Done);
        if ((flags & UnmapFlags.ElideTlbInvalidation) != 0)
        {
            _rig.Table.InvalidateVmid(ref _rig.Machine);
        }

        CompareSink(sink, expected);
        _unlinked.AddRange(expected);
        CheckCleaning(expected, flags);
    }

    private void Update()
    {
        (ulong start, ulong end) = AnyRange();
        PartialBlock partial = (PartialBlock)Take(2);
        RangeCursor cursor = new(new Ipa(start), end - start, AnyBudget());
        LeafAttributes permissions = AnyAttributes();
        bool protects = Take(2) == 0;
        bool changed = _model.Update(start, end, partial == PartialBlock.Split, bits => protects
            ? new LeafAttributes(bits).WithWrite(false).Bits
            : new LeafAttributes(bits).WithPermissionsOf(permissions).Bits);
        bool owed = false;
        Stage2Result result;
        do
        {
            result = protects
                ? _rig.Table.WriteProtect(ref _rig.Machine, ref cursor, partial, out MaintenanceDebt debt)
                : _rig.Table.ChangePermissions(ref _rig.Machine, ref cursor, permissions, partial, out debt);
            owed |= debt.OwesInvalidation;
            _debt.Add(in debt);
        }
        while (result == Stage2Result.Again);
        result.ShouldBe(Stage2Result.Done);
        owed.ShouldBe(changed);
    }

    private void Age()
    {
        (ulong start, ulong end) = AnyRange();
        bool anyYoung = _model.Overlapping(start, end).Any(leaf => new LeafAttributes(leaf.Attributes).Accessed);
        RangeCursor look = new(new Ipa(start), end - start);
        _rig.Table.IsYoung(ref _rig.Machine, ref look, out bool young).ShouldBe(Stage2Result.Done);
        young.ShouldBe(anyYoung);
        if (Take(2) == 0)
        {
            RangeCursor cursor = new(new Ipa(start), end - start);
            _ = _model.Update(start, end, false, bits => new LeafAttributes(bits).WithAccessed(false).Bits);
            _rig.Table.Age(ref _rig.Machine, ref cursor, out MaintenanceDebt debt).ShouldBe(Stage2Result.Done);
            debt.OwesInvalidation.ShouldBe(anyYoung);
            debt.Waive(DebtWaiver.AgeMayLag);
            debt.OwesInvalidation.ShouldBeFalse();
            return;
        }

        Stage2Result expected = _model.At(start) is { } leaf ? Stage2Result.Done : Stage2Result.NotMapped;
        if (expected == Stage2Result.Done)
        {
            _ = _model.Update(start, start + 1, false, bits => new LeafAttributes(bits).WithAccessed(true).Bits);
        }

        _rig.Table.MarkAccessed(ref _rig.Machine, new Ipa(start)).ShouldBe(expected);
    }

    private void Split()
    {
        int level = AnyLevel();
        ulong ipa = AnyIpa();
        Stage2Result expected = _model.At(ipa) is null ? Stage2Result.NotMapped : Stage2Result.Done;
        _model.Split(ipa, level);
        _rig.Table.SplitBlock(ref _rig.Machine, new Ipa(ipa), level).ShouldBe(expected);
    }

    private void ReplaceTable(bool eager)
    {
        int level = AnyLevel();
        ulong bytes = Rig<TFormat>.Bytes(level);
        ulong ipa = AnyIpa() & ~(bytes - 1);
        ulong output = OutputFor(ipa) & ~(bytes - 1);
        LeafAttributes attributes = AnyAttributes();
        UnmapFlags flags = (UnmapFlags)Take(2);
        Stage2Result expected = _model.Map(ipa, output, level, attributes.Bits);
        List<Leaf> gone = [];
        if (expected == Stage2Result.TableInTheWay)
        {
            gone = _model.Unmap(ipa, ipa + bytes, splits: false);
            expected = _model.Map(ipa, output, level, attributes.Bits);
        }

        SettleOnly();
        ListSink<TFormat> sink = new() { Unlinked = [] };
        Stage2Result result = eager
            ? _rig.Table.ReplaceTableByBlockEager(ref _rig.Machine, new Ipa(ipa), new Pa(output), level, attributes,
                flags, ref sink)
            : _rig.Table.ReplaceTableByBlock(ref _rig.Machine, new Ipa(ipa), new Pa(output), level, attributes, flags,
                ref sink);
        result.ShouldBe(expected);
        CompareSink(sink, gone);
        _unlinked.AddRange(gone);
        CheckCleaning(gone, flags);
    }

    private void Replace()
    {
        ulong ipa = AnyIpa();
        LeafAttributes attributes = AnyAttributes();
        Leaf? leaf = _model.At(ipa);
        ulong output = OutputFor(ipa) & ~(Rig<TFormat>.Bytes(leaf?.Level ?? 3) - 1);
        Stage2Result result = _rig.Table.Replace(ref _rig.Machine, new Ipa(ipa), new Pa(output), attributes,
            UnmapFlags.None, out Pa previous);
        if (leaf is null)
        {
            result.ShouldBe(Stage2Result.NotMapped);
            return;
        }

        result.ShouldBe(Stage2Result.Done);
        previous.Value.ShouldBe(leaf.Value.Output);
        _model.Replace(ipa, output, attributes.Bits);
        _unlinked.Add(leaf.Value);
    }

    private void SettleOnly()
    {
        _rig.Table.Settle(ref _rig.Machine, ref _debt);
        _debt.OwesInvalidation.ShouldBeFalse();
    }

    private void SettleAndCheck()
    {
        SettleOnly();
        Compare(_rig.Audit());
        Invalidations done = new(_rig.World.Log);
        foreach (Leaf leaf in _unlinked)
        {
            done.Cover(leaf.Ipa, leaf.End<TFormat>()).ShouldBeTrue($"{leaf} was never invalidated");
        }

        _unlinked.Clear();
        _rig.World.Log.Clear();
    }

    /// <summary>Cleaned before they were given away: all cacheable leaves, and only where it was asked for.</summary>
    private void CheckCleaning(List<Leaf> gone, UnmapFlags flags)
    {
        HashSet<ulong> cleaned = [.. _rig.World.Log.Where(e => e.Operation == MachineOperation.CleanInvalidateToPoC)
            .SelectMany(Granules)];
        bool owed = (flags & UnmapFlags.ElideCacheMaintenance) == 0 && !_rig.World.HasForcedWriteBack;
        foreach (Leaf leaf in gone)
        {
            bool device = new LeafAttributes(leaf.Attributes).Type == MemoryType.Device;
            if (owed && !device)
            {
                Granules(new(MachineOperation.CleanInvalidateToPoC, leaf.Output, Rig<TFormat>.Bytes(leaf.Level)))
                    .All(cleaned.Contains).ShouldBeTrue($"{leaf} was not cleaned");
            }
        }
    }

    private static IEnumerable<ulong> Granules(MachineEvent cleaning)
    {
        for (ulong done = 0; done < cleaning.Value; done += Granule)
        {
            yield return cleaning.Address + done;
        }
    }

    private void DestroyAndCheck()
    {
        _rig.World.Log.Clear();
        RangeCursor cursor = _rig.Table.WholeRange(7);
        ListSink<TFormat> sink = new() { Unlinked = [] };
        switch (_steps % 3)
        {
            case 0:
                _rig.Table.Destroy(ref _rig.Machine);
                break;
            case 1:
                while (_rig.Table.DestroyAsPosted(ref _rig.Machine, ref cursor, ref sink) == Stage2Result.Again)
                {
                    _rig.Audit();
                }

                sink.Unlinked.Count.ShouldBe(_model.Leaves.Count());
                break;
            default:
                RangeCursor whole = _rig.Table.WholeRange();
                _rig.Table.DestroyEager(ref _rig.Machine, ref whole, UnmapFlags.None, ref sink)
                    .ShouldBe(Stage2Result.Done);
                sink.Unlinked.Count.ShouldBe(_model.Leaves.Count());
                break;
        }

        _rig.Table.Exists.ShouldBeFalse();
        _rig.World.TablesOut.ShouldBe(0);
    }

    /// <summary>Translations around the edges of what is mapped, and where nothing may be.</summary>
    private void Probe()
    {
        foreach (Leaf leaf in _model.Leaves.Take(3).Concat(_model.Leaves.TakeLast(3)))
        {
            ProbeAt(leaf.Ipa);
            ProbeAt(leaf.End<TFormat>() - 1);
            ProbeAt(leaf.End<TFormat>());
            ProbeAt(leaf.Ipa - 1);
        }

        ProbeAt(AnyIpa());
    }

    private void ProbeAt(ulong ipa)
    {
        Translation translation = _rig.Translate(ipa);
        Leaf? expected = ipa < _geometry.IpaLimit.Value ? _model.At(ipa) : null;
        translation.IsMapped.ShouldBe(expected is not null);
        if (expected is { } leaf)
        {
            ((int)translation.Level).ShouldBe(leaf.Level);
            translation.Output.Value.ShouldBe(leaf.Output + (ipa - leaf.Ipa));
            (translation.Attributes.Bits & ~LeafAttributes.ContiguousBit).ShouldBe(leaf.Attributes);
        }
    }

    private static void CompareSink(ListSink<TFormat> sink, List<Leaf> gone)
    {
        IEnumerable<(ulong, ulong, int)> expected = gone.Select(leaf => (leaf.Ipa, leaf.Output, leaf.Level));
        if (!sink.Unlinked.SequenceEqual(expected))
        {
            sink.Unlinked.ShouldBe(expected);
        }
    }

    private void Compare(List<Leaf> leaves)
    {
        // The long way round only to say what differs.
        if (!leaves.Select(WithoutRuns).SequenceEqual(_model.Leaves))
        {
            leaves.Select(WithoutRuns).ShouldBe(_model.Leaves);
        }
    }

    private static Leaf WithoutRuns(Leaf leaf) =>
        leaf with { Attributes = leaf.Attributes & ~LeafAttributes.ContiguousBit };

    /// <summary>The next choice that the instruction makes.</summary>
    private int Take(int choices)
    {
        int taken = (int)(_bits % (uint)choices);
        _bits = (_bits / (uint)choices) + (0x9E37_79B9 * (_bits & 0xFFFF));
        return taken;
    }

    private int AnyLevel()
    {
        int level = 3 - Take(3);
        return level >= _geometry.StartLevel && TFormat.HasLeafAt(level) ? level : 3;
    }

    /// <summary>
    /// Addresses that meet each other: in a few tables, mostly at the edges of tables, runs and blocks.
    /// </summary>
    private ulong AnyIpa()
    {
        ulong table = Rig<TFormat>.Bytes(2);
        ulong start = Take(3) switch
        {
            0 => 0,
            1 => _geometry.IpaLimit.Value / 2,
            _ => _geometry.IpaLimit.Value - (2 * table),
        };
        int[] pages = [0, 1, 7, 15, 16, 17, 31, 32, Entries / 2, Entries - 17, Entries - 16, Entries - 1];
        ulong ipa = start + ((ulong)Take(2) * table) + ((ulong)pages[Take(pages.Length)] * Granule);
        return ipa < _geometry.IpaLimit.Value ? ipa : ipa - (2 * table);
    }

    private (ulong Start, ulong End) AnyRange()
    {
        ulong start = AnyIpa();
        int[] pages = [1, 2, 3, 16, 17, 32, 128, Entries - 1, Entries, Entries + 1, 2 * Entries];
        ulong end = start + ((ulong)pages[Take(pages.Length)] * Granule);
        return (start, end < _geometry.IpaLimit.Value ? end : _geometry.IpaLimit.Value);
    }

    /// <summary>Congruent with the address, so that blocks fit, or one page off, so that none do.</summary>
    private ulong OutputFor(ulong ipa) => ((ipa + 0x10_0000_0000) & 0x7FFF_FFFF_FFFF) + (Take(4) == 0 ? Granule : 0);

    private LeafAttributes AnyAttributes() => Take(6) switch
    {
        0 => LeafAttributes.ReadOnlyGuestMemory,
        1 => LeafAttributes.DeviceMemory,
        2 => new LeafAttributes(true, true, true, MemoryType.NormalNonCacheable),
        3 => LeafAttributes.GuestMemory.WithAccessed(false),
        _ => LeafAttributes.GuestMemory,
    };

    private uint AnyBudget() => Take(4) switch
    {
        0 => 1 + (uint)Take(40),
        _ => RangeCursor.Unlimited,
    };
}
