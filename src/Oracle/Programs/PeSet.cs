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

    /// <summary>The allocator's memory: its bitmap, what is active on each PE, and what each PE has reserved.</summary>
    private readonly ulong[] _words;
    private readonly VmidAllocator[] _vmids = new VmidAllocator[1];

    public PeSet(ProgramMachine<TFormat, TMachine> machine)
    {
        _machine = machine;
        int pes = machine.Options.Pes;
        _running = new Guest<TFormat, TMachine>?[pes];
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
    public bool TryBegin(Guest<TFormat, TMachine> guest)
    {
        if (Vmids.Enter(_machine.MonitorPe, ref guest.Lease, ref guest.Machine) != VmidResult.Ok)
        {
            return false;
        }

        Vmids.Leave(_machine.MonitorPe);
        return true;
    }

    /// <summary>A vCPU enters: the PE gets the VM's VMID, and loads VTTBR_EL2 with it.</summary>
    public void Enter(Guest<TFormat, TMachine> guest, int pe)
    {
        if (_running[pe] == guest)
        {
            return;
        }

        Leave(pe);
        guest.Port.Pe = pe;
        if (Vmids.Enter(pe, ref guest.Lease, ref guest.Machine) != VmidResult.Ok)
        {
            return;
        }

        guest.Memory.Vmid = Vmids.VmidOf(in guest.Lease);
        _running[pe] = guest;
        _machine.Story.Step?.Invoke($"PE {pe} enters {guest.Name}, VMID {guest.Memory.Vmid.Value}");
        _machine.Judge.Load(pe, guest.Judged!, guest.Memory.Vmid);
        _machine.Contract.Entered(ref guest.Machine, guest.Memory.Vmid);
    }

    /// <summary>The vCPU on a PE leaves, if there is one, and the PE unloads VTTBR_EL2.</summary>
    public void Leave(int pe)
    {
        if (_running[pe] is Guest<TFormat, TMachine> guest)
        {
            _machine.Judge.Unload(pe, guest.Judged!);
            Vmids.Leave(pe);
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

    /// <summary>Writes the allocator's state, its PEs in an order that is given.</summary>
    public void WriteState(StateHash hash, int[] pes)
    {
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
