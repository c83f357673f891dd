using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Search;
using Quietus.Stage2;
using Machine = Quietus.Oracle.Machines.ObservedMachine<
    Quietus.Oracle.Machines.ModelMachine, Quietus.Oracle.Programs.JudgeObserver>;
using Table = Quietus.Stage2.PageTable<
    Quietus.Stage2.Arm<Quietus.Stage2.Granule4K>, Quietus.Oracle.Machines.ObservedMachine<
        Quietus.Oracle.Machines.ModelMachine, Quietus.Oracle.Programs.JudgeObserver>>;

namespace Quietus.Oracle.Sites;

/// <summary>
/// Programs that call the engine's tables directly, under the judge: what the memory layer does not call, contiguous
/// runs among it. One VM runs on PE 0, and PE 1 changes its table. A page that is mapped no longer is read by the host.
/// </summary>
internal sealed class TableSubject : Subject
{
    private const int Verbs = 8;

    /// <summary>A program from a seed.</summary>
    public static ProgramStep[] Steps(int seed, int count)
    {
        var random = new Random(seed);
        var steps = new ProgramStep[count];
        foreach (ref ProgramStep step in steps.AsSpan())
        {
            step = new ProgramStep(
                (Operation)random.Next(Verbs), 0, 0, (byte)random.Next(64), (byte)random.Next(8), 0);
        }

        return steps;
    }

    public override Outcome Run(ProgramOptions options, ReadOnlySpan<ProgramStep> steps, Action<string>? tell = null)
    {
        var host = new TableHost(options);
        int ran = 0;
        try
        {
            foreach (ProgramStep step in steps)
            {
                ran++;
                host.Run(step);
            }
        }
        catch (ViolationException broken)
        {
            return new Outcome(broken.Violation, ran, host.Judge.Events);
        }

        return new Outcome(null, ran, host.Judge.Events);
    }

    internal override Violation? Reach(
        ProgramOptions options, ReadOnlySpan<ProgramStep> steps, StateReader reader, out UInt128? state) =>
        throw new NotSupportedException("these programs are not searched exhaustively");
}

/// <summary>The VM, its table, and twice 8 MB of the host's memory: a page has two places to lead to.</summary>
internal sealed class TableHost
{
    private const ulong Memory = 0xA_0000_0000;
    private const ulong Bytes = 8 << 20;
    private const ulong Granule = 4096;
    private const ulong Block = 2 << 20;
    private const ulong Start = 0x4000_0000;
    private const int GuestPe = 0;
    private const int MonitorPe = 1;

    /// <summary>Where runs of 16 pages, and blocks, begin and end, and lie inside.</summary>
    private static readonly ulong[] _pages = [0, 1, 15, 16, 17, 32, 48, 500, 511];

    private static readonly ulong[] _lengths = [1, 2, 16, 32, 64, 512];

    private readonly JudgedVm _vm;
    private readonly bool _isUncached;
    private Machine _machine;
    private Table _table;

    public TableHost(ProgramOptions options)
    {
        var world = new ModelWorld(options.Chunks, 12, isZero: false);
        Judge = new Judge(options.Features, 12, 2);
        Judge.AddMemory(new Pa(ModelWorld.PoolStart), world.PoolBytes, isPool: true, isZero: false);
        Judge.AddMemory(new Pa(Memory), 2 * Bytes, isPool: false, isZero: false);
        int owner = Judge.AddParty("the host's file");
        Judge.Own(new Pa(Memory), 2 * Bytes, owner);
        Judge.Write(new Pa(Memory), 2 * Bytes, Judge.Hypervisor, owner, isCached: true);
        _isUncached = !options.Features.ForcedWriteBack;
        var records = new ModelVm();
        var port = new VmPort(Judge, world, records) { Pe = MonitorPe };
        _machine = new Machine(new ModelMachine(world, records, options.Features), new JudgeObserver(port));
        _machine.Pool.Adopt(ref _machine.Frames, 12);
        Stage2Geometry.TryCreate<Arm<Granule4K>>(36, 40, out Stage2Geometry geometry);
        Table.Create(ref _machine, geometry, new Vmid(1), out _table);
        var root = new Pa(_table.Vttbr & ((1UL << 48) - 1));
        _vm = Judge.AddVm("the VM", root, geometry.RootTables, geometry.StartLevel);
        port.Vm = _vm;
        Judge.Load(GuestPe, _vm, new Vmid(1));
    }

    public Judge Judge { get; }

    /// <summary>Page: bits 0 and 1 which 2 MB, the rest where in them. Choice: what else there is to choose.</summary>
    public void Run(ProgramStep step)
    {
        ulong offset = ((step.Page & 3UL) * Block) + (_pages[(step.Page >> 2) % _pages.Length] * Granule);
        var ipa = new Ipa(Start + offset);
        Translation there = _table.Translate(ref _machine, ipa);
        var unmapped = new List<(Pa Page, ulong Bytes)>();
        if ((int)step.Operation < 2)
        {
            Touch(in there, (int)step.Operation == 0);
            return;
        }

        Judge.BeginCall(_vm);
        Change((int)step.Operation, step.Choice, ipa, offset, in there, unmapped);
        Judge.EndCall();
        foreach ((Pa page, ulong bytes) in unmapped)
        {
            for (ulong at = 0; at < bytes; at += Granule)
            {
                Judge.Consume(page + at, "the host", "a page of the file", isCached: true);
            }
        }
    }

    /// <summary>The guest writes a page past its caches, if it can, or reads it.</summary>
    private void Touch(in Translation there, bool writes)
    {
        if (!there.IsMapped)
        {
            return;
        }

        var page = new Pa(there.Output.Value & ~(Granule - 1));
        if (!writes)
        {
            Judge.Consume(page, "the VM itself", "a page", isCached: true);
        }
        else if (there.Attributes.Write && _isUncached)
        {
            Judge.GuestMaintains(page, CacheKind.CleanInvalidate);
            Judge.Write(page, Granule, _vm.Party, Judge.OwnerOf(page), isCached: false);
        }
    }

    private void Change(
        int verb, int choice, Ipa ipa, ulong offset, in Translation there, List<(Pa, ulong)> unmapped)
    {
        var attributes = new LeafAttributes(true, (choice & 1) == 0, false, MemoryType.NormalWriteBack,
            (choice & 2) == 0 ? Shareability.InnerShareable : Shareability.OuterShareable);
        ulong length = _lengths[choice % _lengths.Length] * Granule;
        ulong other = (choice & 4) != 0 ? Bytes : 0;
        var sink = new Unmapped(unmapped);
        switch (verb)
        {
            case 2 or 3:
                _table.MapRange(ref _machine, ipa, new Pa(Memory + offset + other), Math.Min(length, Bytes - offset),
                    attributes, (MapOptions)(choice & 3));
                break;
            case 4 when there.IsMapped:
                _table.Map(ref _machine, new Ipa(ipa.Value & ~(SizeOf(there) - 1)),
                    new Pa(there.Output.Value & ~(SizeOf(there) - 1)), there.Level, attributes);
                break;
            case 5 when there.IsMapped:
                ulong moved = (there.Output.Value & ~(SizeOf(there) - 1)) ^ Bytes;
                if (_table.Replace(ref _machine, ipa, new Pa(moved), attributes, UnmapFlags.None, out Pa previous)
                    == Stage2Result.Done)
                {
                    unmapped.Add((previous, SizeOf(there)));
                }

                break;
            case 6 when (choice & 4) == 0:
                var cursor = new RangeCursor(ipa, Math.Min(length, Bytes - offset));
                _table.Unmap(ref _machine, ref cursor, UnmapFlags.None, PartialBlock.Split, ref sink);
                break;
            case 6:
                _table.SplitBlock(ref _machine, ipa, Stage2Geometry.LastLevel);
                break;
            case 7:
                _table.ReplaceTableByBlock(ref _machine, new Ipa(ipa.Value & ~(Block - 1)),
                    new Pa(Memory + (offset & ~(Block - 1)) + other), Stage2Geometry.LastLevel - 1, attributes,
                    UnmapFlags.None, ref sink);
                break;
            default:
                break;
        }
    }

    private static ulong SizeOf(Translation there) => Stage2Geometry.LevelBytes<Arm<Granule4K>>(there.Level);

    /// <summary>Notes what is mapped no longer.</summary>
    private readonly struct Unmapped(List<(Pa Page, ulong Bytes)> pages) : ILeafSink
    {
        public void Unlinked(Ipa ipa, Pa output, int level, ulong leaves) =>
            pages.Add((output, Stage2Geometry.LevelBytes<Arm<Granule4K>>(level) * leaves));
    }
}
