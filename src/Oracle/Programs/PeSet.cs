using System;
using System.Runtime.InteropServices;
using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Search;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>The PEs that run guests: which VM each of them runs, and under which VMID.</summary>
internal sealed class PeSet<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private const ulong Parked = 1UL << 63;

    private readonly ProgramMachine<TFormat, TMachine> _machine;
    private readonly Guest<TFormat, TMachine>?[] _running;
    private readonly int[] _vcpus;

    /// <summary>What each PE notes of the vCPUs that it has run.</summary>
    private readonly LastVcpus[] _last;
    private readonly byte[] _lastBytes;

    /// <summary>The allocator's memory: its bitmap, what is active on each PE, and what each PE has reserved.</summary>
    private readonly ulong[] _words;
    private readonly VmidAllocator[] _vmids = new VmidAllocator[1];

    /// <summary>A PE is in the allocator, and may hold its lock.</summary>
    public bool IsAllocating { get; private set; }

    public PeSet(ProgramMachine<TFormat, TMachine> machine)
    {
        _machine = machine;
        int pes = machine.Options.Pes;
        _running = new Guest<TFormat, TMachine>?[pes];
        _vcpus = new int[pes];
        _last = new LastVcpus[pes];
        int vms = machine.Options.Vms;
        _lastBytes = GC.AllocateArray<byte>(pes * vms, pinned: true);
        for (int pe = 0; pe < pes; pe++)
        {
            _last[pe].Initialize(
                new UnmanagedArray<byte>(Marshal.UnsafeAddrOfPinnedArrayElement(_lastBytes, pe * vms), vms));
        }

        _words = GC.AllocateArray<ulong>(2 + (2 * (pes + 1)), pinned: true);
        nint first = Marshal.UnsafeAddrOfPinnedArrayElement(_words, 0);
        Vmids.Initialize(
            machine.Options.VmidBits,
            new UnmanagedArray<ulong>(first, 2),
            new UnmanagedArray<ulong>(first + (2 * sizeof(ulong)), pes + 1),
            new UnmanagedArray<ulong>(first + ((3 + pes) * sizeof(ulong)), pes + 1));
    }

    /// <summary>The allocator that the hypervisor has, with few numbers.</summary>
    public ref VmidAllocator Vmids => ref _vmids[0];

    /// <summary>The VM on a PE.</summary>
    public Guest<TFormat, TMachine>? On(int pe) => _running[pe];

    /// <summary>A VM that is being made gets its first VMID.</summary>
    public bool TryBegin(Guest<TFormat, TMachine> guest) => TryAllocate(ref guest.Lease, guest);

    /// <summary>A VM that no program knows takes a VMID, and abandons it: numbers are used up.</summary>
    public void UseVmid(Guest<TFormat, TMachine> guest)
    {
        guest.Port.Pe = _machine.MonitorPe;
        _machine.Story.Step?.Invoke("a VM elsewhere takes a VMID, and dies without giving it back");
        VmidLease lease = default;
        TryAllocate(ref lease, guest);
        VmidAllocator.Abandon(ref lease);
    }

    /// <summary>Whether a VM keeps its VMID when it enters: then it takes no lock.</summary>
    public bool HasCurrentVmid(Guest<TFormat, TMachine> guest) => guest.Lease.Tag != 0
        && (guest.Lease.Tag ^ EngineInternals.Generation(ref Vmids)) >> _machine.Options.VmidBits == 0;

    /// <summary>
    /// Which vCPU of a VM can enter on a PE, from one on that is chosen; -1 where that is the one that runs there, or
    /// all run elsewhere. Where vCPUs are not told apart, it is the first.
    /// </summary>
    public int Choose(Guest<TFormat, TMachine> guest, int pe, int choice)
    {
        int count = _machine.Options.Vcpus;
        if (count <= 1)
        {
            return _running[pe] == guest ? -1 : 0;
        }

        for (int from = 0; from < count; from++)
        {
            int vcpu = (choice + from) % count;
            int on = PeOf(guest, vcpu);
            if (on == pe || on < 0)
            {
                return on == pe ? -1 : vcpu;
            }
        }

        return -1;
    }

    /// <summary>The PE that runs a vCPU; -1 where none does.</summary>
    private int PeOf(Guest<TFormat, TMachine> guest, int vcpu)
    {
        for (int pe = 0; pe < _running.Length; pe++)
        {
            if (_running[pe] == guest && _vcpus[pe] == vcpu)
            {
                return pe;
            }
        }

        return -1;
    }

    /// <summary>
    /// A vCPU enters: the PE gets the VM's VMID, loads VTTBR_EL2 with it, and invalidates what another vCPU of the VM
    /// may have left.
    /// </summary>
    public void Enter(Guest<TFormat, TMachine> guest, int pe, int choice)
    {
        int vcpu = guest.Memory.IsFrozen ? -1 : Choose(guest, pe, choice);
        if (vcpu < 0)
        {
            return;
        }

        Leave(pe);
        if (_machine.Options.Vcpus == 1)
        {
            LeaveAll(guest); // the vCPU moves
        }

        guest.Port.Pe = pe;
        IsAllocating = true;
        Vmid vmid = _machine.Contract.TakeVmid(
            ref Vmids, pe, ref guest.Lease, ref guest.Memory, ref guest.Machine);
        IsAllocating = false;
        if (vmid.Value == 0)
        {
            return;
        }

        _running[pe] = guest;
        _vcpus[pe] = vcpu;
        _machine.Story.Step?.Invoke(
            $"PE {pe} enters {guest.Name}, VMID {vmid.Value}{(vcpu != 0 ? $", as its vCPU {vcpu}" : string.Empty)}");
        _machine.Contract.Loads(ref guest.Port.Holders, pe);
        guest.Port.LoadedOn = pe;
        _machine.Judge.Load(pe, guest.Judged!, vmid, vcpu);
        if (_machine.Options.Vcpus != 0 && _machine.Contract.IsOtherVcpu(ref _last[pe], pe, guest.Slot, vcpu))
        {
            _machine.Judge.Invalidate(pe, TlbiKind.Combined, vmid, default, 0, 0, 1U << pe);
            _machine.Judge.Complete(pe, BarrierKind.NonShareable);
        }

        _machine.Contract.Entered(ref guest.Machine, vmid);
    }

    /// <summary>The vCPU on a PE leaves, if there is one, and the PE unloads VTTBR_EL2.</summary>
    public void Leave(int pe)
    {
        if (_running[pe] is Guest<TFormat, TMachine> guest)
        {
            CommitFault(guest, pe);
            _machine.Judge.Unload(pe, guest.Judged!);
            _machine.Contract.Left(ref Vmids, pe);
            guest.Port.LoadedOn = guest.Port.LoadedOn == pe ? -1 : guest.Port.LoadedOn;
            _running[pe] = null;
            _machine.Story.Step?.Invoke($"PE {pe} leaves {guest.Name}");
        }
    }

    /// <summary>All vCPUs of a VM leave.</summary>
    public void LeaveAll(Guest<TFormat, TMachine> guest)
    {
        for (int pe = 0; pe < _running.Length; pe++)
        {
            if (_running[pe] == guest)
            {
                Leave(pe);
            }
        }
    }

    /// <summary>
    /// Second half of a PE's fault, if one is under way: what was looked up is mapped if it still may.
    /// </summary>
    public void CommitFault(Guest<TFormat, TMachine> guest, int pe)
    {
        ref PendingFault fault = ref guest.Faults[pe];
        if (!fault.IsPending)
        {
            return;
        }

        guest.Port.Pe = pe;
        fault.IsPending = false;
        _machine.Judge.BeginCall(guest.Judged);
        FaultResult result = _machine.Contract.Commit(ref guest.Memory, ref guest.Machine, ref fault.Ticket).Sound();
        guest.Port.Settle();
        _machine.Judge.EndCall();
        _machine.Story.Step?.Invoke(
            $"PE {pe}: the fault of {guest.Name} on {Places<TFormat>.WhereOf(fault.Place)} is committed: {result}");
    }

    /// <summary>All faults of a VM come to their end.</summary>
    public void CommitFaults(Guest<TFormat, TMachine> guest)
    {
        for (int pe = 0; pe < _running.Length; pe++)
        {
            CommitFault(guest, pe);
        }
    }

    /// <summary>Takes a VMID on the monitor's PE, with a VM's machine to invalidate by.</summary>
    private bool TryAllocate(ref VmidLease lease, Guest<TFormat, TMachine> guest)
    {
        IsAllocating = true;
        VmidResult result = Vmids.Enter(_machine.MonitorPe, ref lease, ref guest.Machine);
        IsAllocating = false;
        if (result == VmidResult.Ok)
        {
            Vmids.Leave(_machine.MonitorPe);
        }

        return result == VmidResult.Ok;
    }

    /// <summary>The PEs that run a VM, one bit each.</summary>
    public uint MaskOf(Guest<TFormat, TMachine> guest)
    {
        uint mask = 0;
        for (int pe = 0; pe < _running.Length; pe++)
        {
            mask |= _running[pe] == guest ? 1U << pe : 0;
        }

        return mask;
    }

    /// <summary>Writes the allocator's state and the PEs' notes, PEs and VMs in orders that are given.</summary>
    public void WriteState(StateHash hash, int[] pes, int[] slots)
    {
        for (int at = 0; _machine.Options.Vcpus != 0 && at < pes.Length; at++)
        {
            int pe = Array.IndexOf(pes, at);
            ulong notes = _running[pe] is null ? 0 : (ulong)(uint)_vcpus[pe] + 1;
            foreach (int slot in slots)
            {
                bool isThere = _machine.Guests[slot] is not null;
                notes = notes << 8 | (isThere ? _lastBytes[(pe * slots.Length) + slot] : 0UL);
            }

            hash.Write(notes);
        }

        hash.Write(_words[0]);
        hash.Write((ulong)(uint)EngineInternals.NextNumber(ref Vmids));
        for (int at = 0; at <= pes.Length; at++)
        {
            int pe = at < pes.Length ? Array.IndexOf(pes, at) : at;
            hash.Write(NameOf(_words[2 + pe]));
            hash.Write(NameOf(_words[3 + _running.Length + pe]));
        }
    }

    /// <summary>A VMID with its generation's age: how many generations there were tells no states apart.</summary>
    public ulong NameOf(ulong tag)
    {
        ulong number = (1UL << _machine.Options.VmidBits) - 1;
        return tag is 0 or Parked ? tag
            : (EngineInternals.Generation(ref Vmids) - (tag & ~number)) | (tag & number) | 1UL << 62;
    }
}
