using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Threading;
using Quietus.Cli.CommandLine;
using Quietus.Memory;
using Quietus.Simulator;
using Quietus.Stage2;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary>
/// Plays a traced VM again: the engine gets the same maps, ranges and death, in the same order, over a simulated
/// machine. What it issues is counted by the simulator; only what happened to the memory is taken from the trace.
/// </summary>
internal sealed class Replayer
{
    private const ulong Granule = 4096;
    private const int MostSlots = 16;
    private const int OperationsBetweenChecks = 4096;

    private const ulong LeastTableBytes = 16UL << 20;
    private const ulong MostTableBytes = 1UL << 30;

    /// <summary>Where the simulator's own table pages begin: a trace's memory lies below.</summary>
    private const ulong OutputLimit = 1UL << 43;

    private readonly SimulatedVm _vm;
    private readonly UnmapCause _cause;
    private readonly List<(Ipa Start, ulong Bytes)> _slots;
    private readonly int?[] _numbers;
    private readonly long _rootTables;
    private Bill _read;
    private TraceOperationKind _last;
    private ReplayPhase _mapping = new(default, 0);
    private ReplayPhase _unmapping = new(default, 0);
    private ReplayPhase _death = new(default, 0);
    private long _refused;

    private Replayer(HostTrace trace, MachinePreset machine, Memory.MaintenancePolicy policy, UnmapCause cause)
    {
        int ipaBits = CheckAddresses(trace);
        _slots = SlotsOf(trace, 1UL << ipaBits);
        _cause = cause;
        _numbers = new int?[_slots.Count];
        _vm = new SimulatedVm(new SimulatedServer(machine, TableBytes(trace)), policy, ipaBits);
        _rootTables = (long)_vm.TablePages;
        _read = _vm.Bill;
    }

    /// <summary>Plays a trace.</summary>
    /// <exception cref="CliException">It holds what cannot be played again.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static ReplayRow Run(
        HostTrace trace, MachinePreset machine, Guests.MaintenancePolicy policy, UnmapCause cause,
        CancellationToken cancellation)
    {
        var replayer = new Replayer(trace, machine, policy.Engine, cause);
        int done = 0;
        foreach (TraceOperation operation in trace.Operations)
        {
            if (++done % OperationsBetweenChecks == 0)
            {
                cancellation.ThrowIfCancellationRequested();
            }

            replayer.Play(operation);
        }

        replayer.Charge();
        return new ReplayRow(
            machine, policy, replayer._mapping, replayer._unmapping, replayer._death, replayer._refused);
    }

    private void Play(TraceOperation operation)
    {
        if (operation.Kind != _last)
        {
            Charge();
            _last = operation.Kind;
        }

        switch (operation.Kind)
        {
            case TraceOperationKind.Map:
                Map(operation);
                break;
            case TraceOperationKind.Relax:
                Relax(operation);
                break;
            case TraceOperationKind.UnmapByNotifier:
                var range = new NotifierRange(
                    operation.Start, operation.Start + operation.Bytes, _cause.Event, true, _cause.Fate);
                Check(_vm.Notify(in range));
                break;
            case TraceOperationKind.UnmapBySlotRemoval:
                int slot = SlotAt(operation.Start);
                if (_numbers[slot] is int number)
                {
                    Check(_vm.RemoveSlot(number));
                    _numbers[slot] = null;
                }

                break;
            default:
                Check(_vm.Release().Result);
                break;
        }
    }

    /// <summary>Adds what was issued since the last reading to the operations of the last kind.</summary>
    private void Charge()
    {
        Bill now = _vm.Bill;
        Bill since = now - _read;
        _read = now;
        bool isDeath = _last == TraceOperationKind.Release;
        long tables = Math.Max(0, since.Counts.TablesFreed - (isDeath ? _rootTables : 0));
        ref ReplayPhase phase = ref _mapping;
        if (isDeath)
        {
            phase = ref _death;
        }
        else if (_last is TraceOperationKind.UnmapByNotifier or TraceOperationKind.UnmapBySlotRemoval)
        {
            phase = ref _unmapping;
        }

        // Bills can be subtracted: to add one is to subtract what is missing from nothing to it.
        phase = new ReplayPhase(phase.Bill - (default(Bill) - since), phase.Tables + tables);
    }

    private void Map(TraceOperation operation)
    {
        if ((operation.Protection & TraceProtection.Device) != 0)
        {
            _refused++;
            return;
        }

        // As KVM does: by the largest leaf that fits. A fault maps one; what is no leaf's size goes by pages.
        ulong both = operation.Start.Value | operation.Output.Value;
        int level = Enumerable.Range(1, 3).First(candidate =>
            candidate == Stage2Geometry.LastLevel
            || (operation.Bytes == Stage2Geometry.LevelBytes<Arm<Granule4K>>(candidate)
                && (both & (operation.Bytes - 1)) == 0));
        ulong step = Stage2Geometry.LevelBytes<Arm<Granule4K>>(level);
        for (ulong offset = 0; offset < operation.Bytes; offset += step)
        {
            MakeSlot(operation.Start + offset);
            FaultResult result = _vm.MapHostPage(
                operation.Start + offset, operation.Output + offset, level, AccessOf(operation.Protection),
                (operation.Protection & TraceProtection.Write) != 0);
            _refused += result == FaultResult.Mapped ? 0 : 1;
        }
    }

    private void Relax(TraceOperation operation)
    {
        Translation now = _vm.Translate(operation.Start);
        if (!now.IsMapped)
        {
            _refused++;
            return;
        }

        ulong bytes = Stage2Geometry.LevelBytes<Arm<Granule4K>>(now.Level);
        FaultResult result = _vm.MapHostPage(
            operation.Start, new Pa(now.Output.Value & ~(bytes - 1)), now.Level, AccessOf(operation.Protection),
            (operation.Protection & TraceProtection.Write) != 0);
        _refused += result == FaultResult.Mapped ? 0 : 1;
    }

    private static AccessKind AccessOf(TraceProtection protection) =>
        (protection & TraceProtection.Execute) != 0 ? AccessKind.Execute
        : (protection & TraceProtection.Write) != 0 ? AccessKind.Write
        : AccessKind.Read;

    private void MakeSlot(Ipa address)
    {
        int slot = SlotAt(address);
        _numbers[slot] ??= _vm.AddSlot(
            _slots[slot].Start, _slots[slot].Bytes, PageFate.AnonymousLastMappingFreed);
    }

    private int SlotAt(Ipa address)
    {
        for (int i = 0; i < _slots.Count; i++)
        {
            if (address >= _slots[i].Start && address - _slots[i].Start < _slots[i].Bytes)
            {
                return i;
            }
        }

        throw new InvalidOperationException("an address lies in no slot");
    }

    /// <summary>
    /// The slots that the trace removes, and what lies between them. Which other slots there were is not known, and
    /// it makes no difference: what is mapped is mapped.
    /// </summary>
    private static List<(Ipa Start, ulong Bytes)> SlotsOf(HostTrace trace, ulong limit)
    {
        (ulong Start, ulong Bytes)[] removed =
        [
            .. trace.Operations
                .Where(operation => operation.Kind == TraceOperationKind.UnmapBySlotRemoval)
                .Select(operation => (operation.Start.Value, operation.Bytes))
                .Distinct()
                .Order(),
        ];
        if (removed.Length > MostSlots - 1)
        {
            throw CliException.Usage(
                $"the trace removes {removed.Length} slots, and {MostSlots - 1} can be played again",
                "cut the trace to fewer of them");
        }

        List<(Ipa, ulong)> slots = [];
        ulong next = 0;
        foreach ((ulong start, ulong bytes) in removed)
        {
            if (start < next)
            {
                throw CliException.Usage(
                    $"the trace removes slots that overlap, at 0x{start:x}", "cut the trace to one VM's life");
            }

            Between(start);
            slots.Add((new Ipa(start), bytes));
            next = start + bytes;
        }

        Between(limit);
        return slots;

        void Between(ulong end)
        {
            if (end > next)
            {
                slots.Add((new Ipa(next), end - next));
            }
        }
    }

    /// <summary>
    /// Memory for all tables that the trace's maps can need: one for each 2 MB that it touches, at most as many above
    /// them, and room for the root. A server that has more than it uses takes long to make, and there is one for each
    /// trace, machine and policy.
    /// </summary>
    private static ulong TableBytes(HostTrace trace)
    {
        const int blockShift = 21;
        HashSet<ulong> blocks = [];
        foreach (TraceOperation map in trace.Operations.Where(each => each.Kind == TraceOperationKind.Map))
        {
            ulong last = (map.Start.Value + map.Bytes - 1) >> blockShift;
            for (ulong block = map.Start.Value >> blockShift; block <= last; block++)
            {
                _ = blocks.Add(block);
            }

            if ((ulong)blocks.Count * 2 * Granule > MostTableBytes)
            {
                break;
            }
        }

        return Math.Min(MostTableBytes, ((ulong)blocks.Count * 2 * Granule) + LeastTableBytes);
    }

    /// <summary>The size of the VM's addresses: KVM's default of 40 bits, or as many as it takes.</summary>
    private static int CheckAddresses(HostTrace trace)
    {
        ulong highest = 0;
        foreach (TraceOperation operation in trace.Operations)
        {
            highest = Math.Max(highest, operation.Start.Value + operation.Bytes);
            if (operation.Output.Value + operation.Bytes > OutputLimit
                || operation.Start.Value + operation.Bytes > OutputLimit)
            {
                throw CliException.Usage(
                    $"the trace has an address above 8 TB, at 0x{operation.Start.Value:x}",
                    "this cannot be played again: a simulated machine has less");
            }
        }

        return Math.Max(SimulatedVm.DefaultIpaBits, 64 - BitOperations.LeadingZeroCount(highest - 1));
    }

    private static void Check(MemoryResult result)
    {
        if (result != MemoryResult.Ok)
        {
            throw new CliException(
                ExitCode.Failed, $"the engine refused what the trace says ({result})",
                "please report it, with the trace");
        }
    }
}
