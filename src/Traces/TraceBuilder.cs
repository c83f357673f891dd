using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;

namespace Quietus.Traces;

/// <summary>Makes a VM's history out of events, one after the other.</summary>
/// <remarks>
/// Some hosts trace a function twice, by a kprobe and by the function tracer. The kprobe has the arguments, so it
/// counts; what the function tracer says about maintenance counts only where there is no kprobe for it.
/// </remarks>
internal sealed class TraceBuilder(TraceCounts counts, int? process)
{
    /// <summary>32 GB by 4K pages; they take 400 MB of memory at most.</summary>
    public const int MostOperations = 1 << 23;

    /// <summary>More than any trace that a person can read anything from.</summary>
    private const int MostVms = 1 << 12;

    /// <summary>As many as a process may have by far.</summary>
    private const int MostThreads = 1 << 18;

    private const ulong Granule = 4096;
    private const ulong LargestLeaf = 1UL << 30;

    /// <summary>The level of pages. A number beyond it (TLBI_TTL_UNKNOWN) says that no leaf's level is meant.</summary>
    private const ulong LastLevel = 3;

    private readonly List<TraceOperation> _operations = [];
    private readonly Dictionary<int, ThreadState> _threads = [];
    private readonly List<TracedVm> _vms = [];

    /// <summary>Of those that had the same tables, one after the other, the last.</summary>
    private readonly Dictionary<(ulong Tables, int Process), TracedVm> _byTables = [];
    private readonly Causes _probed = new();
    private readonly Causes _entered = new();
    private bool _cleaningIsProbed;
    private bool _ipaIsProbed;
    private bool _rangeIsProbed;
    private bool _vmidIsProbed;
    private bool _isDead;
    private long _guestFaults;
    private long _unmapNanoseconds;
    private long _deathBegan;
    private long _deathSeen;

    /// <summary>The VMs that the trace has, by their first map.</summary>
    public IReadOnlyCollection<TracedVm> Vms => _vms;

    /// <summary>Whether VMs are only counted: then no event can be wrong.</summary>
    public bool OnlyCounts { get; init; }

    /// <summary>Takes one event in.</summary>
    /// <exception cref="TraceException">What it says cannot be.</exception>
    public void Add(HostEvent what, in TraceLine line)
    {
        if (!_threads.TryGetValue(line.Thread, out ThreadState? thread))
        {
            if (_threads.Count == MostThreads)
            {
                throw new TraceException(
                    counts.Lines, $"more than {MostThreads} threads", "cut the trace to one VM's life");
            }

            thread = new ThreadState();
            _threads.Add(line.Thread, thread);
        }

        if (!IsOurs(what, thread, in line) || OnlyCounts)
        {
            return;
        }

        switch (what)
        {
            case HostEvent.GuestFault:
                _guestFaults++;
                break;
            case HostEvent.NotifierUnmap:
                thread.BytesOfNotifier = line.TryGetRange(out ulong first, out ulong end)
                    ? end - first
                    : throw Unreadable("kvm_unmap_hva_range", "start -- end");
                thread.IsFlushingSlot = false;
                break;
            case HostEvent.SlotFlush:
                thread.IsFlushingSlot = true;
                break;
            case HostEvent.ProcessEnd when counts.IsX86 && !_isDead:
                Die(thread, line.Nanoseconds);
                break;
            case HostEvent.ProcessEnd:
                _deathSeen = _isDead ? line.Nanoseconds : 0;
                break;
            case HostEvent.SpteChanged:
                AddSpte(thread, in line);
                break;
            case HostEvent.CleanPage:
            case HostEvent.TlbiIpa:
            case HostEvent.TlbiRange:
            case HostEvent.TlbiVmid:
                AddMaintenance(what, thread, in line);
                break;
            case var _ when line.IsFunction:
                // Without arguments there is nothing to replay: the kprobe of the same function has them.
                break;
            case HostEvent.Destroy when !_isDead || thread.Doing != HostEvent.Destroy:
                Die(thread, line.Nanoseconds);
                break;
            case HostEvent.Destroy:
                // The same death again: another part of the tables, or the function that calls the one before.
                _deathSeen = line.Nanoseconds;
                break;
            case HostEvent.Unmap when thread.Doing == HostEvent.Destroy && line.TryGetNumber("addr"u8, out ulong from)
                && from == 0:
                // Until Linux 5.9 a death unmapped the whole address space: what follows is of it.
                _deathSeen = line.Nanoseconds;
                break;
            default:
                AddOperation(what, thread, in line);
                break;
        }
    }

    /// <summary>The history.</summary>
    /// <exception cref="TraceException">Several VMs are in it, and none of them was chosen.</exception>
    public HostTrace Finish()
    {
        CheckVms();
        foreach (ThreadState thread in _threads.Values)
        {
            EndUnmap(thread);
        }

        return new HostTrace
        {
            Operations = _operations,
            Mapping = Chosen(causes => causes.Mapping),
            Unmapping = Chosen(causes => causes.Unmapping),
            Death = Chosen(causes => causes.Death),
            Other = Chosen(causes => causes.Other),
            GuestFaults = _guestFaults,
            UnmapNanoseconds = _unmapNanoseconds,
            DeathNanoseconds = _deathSeen - _deathBegan,
            Counts = counts,
        };
    }

    /// <summary>Whether an event is about the VM that is read; operations on Stage-2 tell VMs apart.</summary>
    private bool IsOurs(HostEvent what, ThreadState thread, in TraceLine line)
    {
        bool isMap = IsMap(what, in line);
        if (line.IsFunction || !(isMap || what is HostEvent.Relax or HostEvent.Unmap or HostEvent.Destroy))
        {
            return process is null || (what == HostEvent.GuestFault ? IsOf(in line) : !thread.IsForeign);
        }

        bool hasTables = line.TryGetNumber("pgt"u8, out ulong tables);
        (ulong, int) key = (tables, hasTables ? 0 : line.Process);
        bool isKnown = _byTables.TryGetValue(key, out TracedVm? vm);
        if (isMap && (!isKnown || (hasTables && vm!.Dies)))
        {
            if (_vms.Count == MostVms)
            {
                throw new TraceException(counts.Lines, $"more than {MostVms} VMs", "cut the trace to one VM's life");
            }

            vm = new TracedVm
            {
                Process = line.Process != 0 ? line.Process : hasTables ? line.Thread : 0,
                FirstLine = counts.Lines,
            };
            _vms.Add(vm);
            _byTables[key] = vm;
        }

        if (isMap)
        {
            vm!.AddMap(line.Thread);
        }
        else if (vm is not null && what == HostEvent.Destroy)
        {
            vm.Dies = true;
        }

        thread.IsForeign = process is not null && vm?.Process != process && !IsOf(in line);
        return !thread.IsForeign;
    }

    private static bool IsMap(HostEvent what, in TraceLine line) => what switch
    {
        HostEvent.Map or HostEvent.SetPage or HostEvent.SetBlock or HostEvent.SetLargeBlock => true,
        HostEvent.SpteChanged => SpteChange.TryRead(in line, out SpteChange change) && change.IsMap,
        _ => false,
    };

    private bool IsOf(in TraceLine line) => (line.Process != 0 ? line.Process : line.Thread) == process;

    private void CheckVms()
    {
        if (process is not null)
        {
            if (_operations.Count == 0 && _vms.Count > 0)
            {
                throw new TraceException(
                    0, $"process {process} has no VM in the trace", "--list names those that have");
            }
        }
        else if (_vms.Count > 1)
        {
            IEnumerable<string> names = _vms.Take(8).Select(vm => $"{vm.Process} ({vm.Maps} maps)");
            throw new TraceException(
                0, $"{_vms.Count} VMs are in the trace, of the processes {string.Join(", ", names)}"
                    + (_vms.Count > 8 ? " and others" : string.Empty),
                "choose one with --pid; --list names them all");
        }
    }

    private TracedMaintenance Chosen(Func<Causes, TracedMaintenance> cause)
    {
        TracedMaintenance probed = cause(_probed);
        TracedMaintenance entered = cause(_entered);
        return new TracedMaintenance
        {
            LeafTlbi = (_ipaIsProbed ? probed : entered).LeafTlbi,
            TableTlbi = (_ipaIsProbed ? probed : entered).TableTlbi,
            RangeTlbi = (_rangeIsProbed ? probed : entered).RangeTlbi,
            VmidTlbi = (_vmidIsProbed ? probed : entered).VmidTlbi,
            Cleanings = (_cleaningIsProbed ? probed : entered).Cleanings,
            CleanedBytes = (_cleaningIsProbed ? probed : entered).CleanedBytes,
        };
    }

    private void AddOperation(HostEvent what, ThreadState thread, in TraceLine line)
    {
        if (!CheckIsAlive())
        {
            return;
        }

        ulong address = Number(in line, "addr"u8, what);
        ulong bytes = what switch
        {
            HostEvent.Relax or HostEvent.SetPage => Granule,
            HostEvent.SetBlock => Stage2Geometry.LevelBytes<Arm<Granule4K>>((int)LastLevel - 1),
            HostEvent.SetLargeBlock => LargestLeaf,
            _ => Number(in line, "size"u8, what),
        };
        ulong output = 0;
        TraceProtection protection = TraceProtection.None;
        switch (what)
        {
            case HostEvent.SetPage or HostEvent.SetBlock or HostEvent.SetLargeBlock:
                what = HostEvent.Map;
                (output, protection) = TracedDescriptor.Read(Number(in line, "desc"u8, what));
                break;
            case HostEvent.Map:
                output = Number(in line, "phys"u8, what);
                protection = (TraceProtection)(Number(in line, "prot"u8, what) & 0xF);
                break;
            case HostEvent.Relax:
                protection = (TraceProtection)(Number(in line, "prot"u8, what) & 0xF);
                break;
        }

        CheckRange(address, bytes, output);
        if (what == HostEvent.Map && (bytes is 16 * 1024 or 64 * 1024 || bytes > LargestLeaf))
        {
            throw new TraceException(
                counts.Lines, $"a map of {bytes >> 10} KB: only hosts with 4 KB pages are replayed",
                "trace a host whose kernel has 4 KB pages (getconf PAGESIZE)");
        }

        Begin(thread, what);
        TraceOperationKind kind = what switch
        {
            HostEvent.Map => TraceOperationKind.Map,
            HostEvent.Relax => TraceOperationKind.Relax,
            _ => CauseOfUnmap(thread, bytes, line.Nanoseconds),
        };
        thread.BytesToClean = what == HostEvent.Map ? bytes : 0;
        Append(new TraceOperation(kind, protection, new Ipa(address), bytes, new Pa(output)));
    }

    /// <summary>An entry of KVM/x86's tables: a leaf that comes, gets more permissions, or goes.</summary>
    private void AddSpte(ThreadState thread, in TraceLine line)
    {
        if (!SpteChange.TryRead(in line, out SpteChange change))
        {
            throw Unreadable("kvm_tdp_mmu_spte_changed", "gfn … level … old_spte … new_spte …");
        }

        if (change.Kind is not { } kind || (_isDead && kind == TraceOperationKind.UnmapByNotifier) || !CheckIsAlive())
        {
            // A table, an accessed bit; or what a death unmaps.
            _deathSeen = _isDead ? line.Nanoseconds : 0;
            return;
        }

        CheckRange(change.Start, change.Bytes, change.Output);
        HostEvent what = kind == TraceOperationKind.Map ? HostEvent.Map
            : kind == TraceOperationKind.Relax ? HostEvent.Relax
            : HostEvent.Unmap;
        if (what == HostEvent.Unmap && thread.Doing == what)
        {
            thread.UnmapSeen = line.Nanoseconds;
        }
        else
        {
            bool isFlushing = thread.IsFlushingSlot;
            Begin(thread, what);
            thread.IsFlushingSlot = isFlushing && what == HostEvent.Unmap;
            thread.UnmapBegan = thread.UnmapSeen = line.Nanoseconds;
        }

        kind = what == HostEvent.Unmap && thread.IsFlushingSlot ? TraceOperationKind.UnmapBySlotRemoval : kind;
        Append(new TraceOperation(
            kind, change.Protection, new Ipa(change.Start), change.Bytes, new Pa(change.Output)));
    }

    /// <summary>Whether the VM still lives. An operation on a dead one is another VM's.</summary>
    private bool CheckIsAlive()
    {
        if (!_isDead)
        {
            return true;
        }

        if (process is null && _vms.Count != 1)
        {
            // The end will name all of them, or say that none has a map.
            return false;
        }

        throw new TraceException(
            counts.Lines, "a second VM: the first one's Stage-2 was destroyed before",
            "choose one of them with --pid: its process, or the thread that the lines name, as in NAME-PID");
    }

    private void CheckRange(ulong address, ulong bytes, ulong output)
    {
        ulong limit = 1UL << Stage2Geometry.MaximumIpaBits;
        if (((address | bytes | output) & (Granule - 1)) != 0 || bytes == 0
            || bytes > limit || address > limit - bytes || output > limit - bytes)
        {
            throw new TraceException(
                counts.Lines, $"addr=0x{address:x} size=0x{bytes:x} is no range of 4 KB pages",
                "the events of docs/replay.md have the arguments that are meant");
        }
    }

    private void Die(ThreadState thread, long now)
    {
        Begin(thread, HostEvent.Destroy);
        _isDead = true;
        _deathBegan = _deathSeen = now;
        Append(new TraceOperation(TraceOperationKind.Release, TraceProtection.None, default, 0, default));
    }

    private static TraceOperationKind CauseOfUnmap(ThreadState thread, ulong bytes, long now)
    {
        thread.UnmapBegan = thread.UnmapSeen = now;
        if (thread.IsFlushingSlot || bytes > thread.BytesOfNotifier)
        {
            return TraceOperationKind.UnmapBySlotRemoval;
        }

        thread.BytesOfNotifier -= bytes;
        return TraceOperationKind.UnmapByNotifier;
    }

    private void AddMaintenance(HostEvent what, ThreadState thread, in TraceLine line)
    {
        bool isProbe = !line.IsFunction;
        Causes causes = isProbe ? _probed : _entered;
        TracedMaintenance cause = thread.Doing switch
        {
            HostEvent.Map or HostEvent.Relax => causes.Mapping,
            HostEvent.Unmap => causes.Unmapping,
            HostEvent.Destroy => causes.Death,
            _ => causes.Other,
        };
        thread.UnmapSeen = line.Nanoseconds;
        _deathSeen = thread.Doing == HostEvent.Destroy ? line.Nanoseconds : _deathSeen;
        switch (what)
        {
            case HostEvent.CleanPage:
                _cleaningIsProbed |= isProbe;
                ulong bytes = isProbe ? Number(in line, "size"u8, what) : thread.BytesToClean;
                if (thread.Doing == HostEvent.Map && (bytes == 0 || bytes > thread.BytesToClean))
                {
                    cause = causes.Other;
                }
                else
                {
                    thread.BytesToClean -= Math.Min(bytes, thread.BytesToClean);
                }

                cause.Cleanings++;
                cause.CleanedBytes += (long)bytes;
                break;
            case HostEvent.TlbiIpa:
                _ipaIsProbed |= isProbe;
                ulong level = isProbe ? Number(in line, "level"u8, what) : 0;
                bool namesLeaf = isProbe && level <= LastLevel;
                thread.BytesToClean = namesLeaf
                    ? Stage2Geometry.LevelBytes<Arm<Granule4K>>((int)level)
                    : thread.BytesToClean;
                cause.LeafTlbi += namesLeaf || !isProbe ? 1 : 0;
                cause.TableTlbi += namesLeaf || !isProbe ? 0 : 1;
                break;
            case HostEvent.TlbiRange:
                _rangeIsProbed |= isProbe;
                cause.RangeTlbi++;
                break;
            default:
                _vmidIsProbed |= isProbe;
                cause.VmidTlbi++;
                break;
        }
    }

    /// <summary>A thread turns to another operation: the unmapping that it was at is over.</summary>
    private void Begin(ThreadState thread, HostEvent what)
    {
        EndUnmap(thread);
        thread.Doing = what;
        if (what != HostEvent.Unmap)
        {
            thread.IsFlushingSlot = false;
            thread.BytesOfNotifier = 0;
        }
    }

    private void EndUnmap(ThreadState thread)
    {
        if (thread.Doing == HostEvent.Unmap && thread.UnmapSeen > thread.UnmapBegan)
        {
            _unmapNanoseconds += thread.UnmapSeen - thread.UnmapBegan;
        }
    }

    private void Append(TraceOperation operation)
    {
        // The kernel unmaps a large range in pieces, between which it may reschedule. One cause is one operation.
        if (operation.Kind is TraceOperationKind.UnmapByNotifier or TraceOperationKind.UnmapBySlotRemoval
            && _operations.Count > 0 && _operations[^1] is var last && last.Kind == operation.Kind
            && (last.Start + last.Bytes).Value == operation.Start.Value)
        {
            _operations[^1] = last with { Bytes = last.Bytes + operation.Bytes };
            return;
        }

        if (_operations.Count == MostOperations)
        {
            throw new TraceException(
                counts.Lines, $"more than {MostOperations} operations", "cut the trace to one VM's life");
        }

        _operations.Add(operation);
    }

    private ulong Number(in TraceLine line, ReadOnlySpan<byte> key, HostEvent what) =>
        line.TryGetNumber(key, out ulong value)
            ? value
            : throw Unreadable(what.ToString(), System.Text.Encoding.ASCII.GetString(key) + "=…");

    private TraceException Unreadable(string what, string argument) => new(
        counts.Lines, $"{what}: no readable '{argument}'",
        "the line may be cut or damaged; docs/replay.md says what the events must hold");

    /// <summary>Maintenance by its cause.</summary>
    private sealed class Causes
    {
        public TracedMaintenance Mapping { get; } = new();

        public TracedMaintenance Unmapping { get; } = new();

        public TracedMaintenance Death { get; } = new();

        public TracedMaintenance Other { get; } = new();
    }
}
