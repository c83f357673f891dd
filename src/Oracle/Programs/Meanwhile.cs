using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// What other PEs do while one is within a step, between one event of the machine's boundary and the next: their guests
/// write where a translation that is going may still let them; they leave a VM, or enter one.
/// </summary>
/// <remarks>
/// They keep to the locks. The allocator's: while a PE is in it, others leave and none enters. A VM's memory lock:
/// while a call on the VM is under way, only PEs enter it that find its VMID current, so that no call's VMID changes. A
/// VM that dies, is frozen or is reset is not entered.
/// </remarks>
internal sealed class Meanwhile<TFormat, TMachine>(ProgramMachine<TFormat, TMachine> machine)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    /// <summary>PEs that enter or leave within one step.</summary>
    private const int MostMoves = 3;

    private Random _random = new(0);
    private int _moves;

    /// <summary>
    /// A step begins: with a race other PEs go on during it, at random from the race's seed. Where VMs have children,
    /// in one race of eight no table is to be had: with 4K, a pool that is small enough for that by itself has no room
    /// for anything else.
    /// </summary>
    public void Begin(VmPort port, ProgramStep step)
    {
        bool isRace = step.Race != 0;
        _random = isRace ? new Random(step.Race) : _random;
        _moves = MostMoves;
        port.Current = step.Operation;
        port.Invalidations = 0;
        port.Maintained = 0;
        port.Between = isRace ? GoOn : null;
        port.Records.HasNoTables = machine.Options.Forks && (step.Race & 7) == 7;
        port.Records.SetsAccessFlag =
            isRace ? entry => _random.Next(2) == 0 && machine.Judge.TrySetAccessFlag(entry) : null;
    }

    private void GoOn(VmPort port)
    {
        if (machine.Story.IsWithinStep || _random.Next(4) != 0)
        {
            return;
        }

        int pe = _random.Next(machine.Options.Pes);
        if (port.Vm is { } vm && Judge.TryReachStale(vm, pe, (ulong)(uint)_random.Next(), out _, out Pa page))
        {
            machine.Judge.Write(
                page, Places<TFormat>.Granule, vm.Party, machine.Judge.OwnerOf(page), isCached: true);
        }
        else if (pe != port.Pe && _moves > 0)
        {
            int self = port.Pe;
            machine.Story.IsWithinStep = true;
            _moves -= TryMove(port, pe) ? 1 : 0;
            machine.Story.IsWithinStep = false;
            port.Pe = self;
        }
    }

    /// <summary>A PE leaves the VM that it runs, or enters one where it runs none.</summary>
    private bool TryMove(VmPort port, int pe)
    {
        bool isStopped = port.Current is Operation.Kill or Operation.KillLate or Operation.Freeze or Operation.Reset;
        if (machine.Pes.On(pe) is Guest<TFormat, TMachine> running)
        {
            if (running.Faults[pe].IsPending || (isStopped && running.Port == port))
            {
                return false;
            }

            machine.Pes.Leave(pe);
            return true;
        }

        if (machine.Pes.IsAllocating
            || machine.Guests[_random.Next(machine.Guests.Length)] is not Guest<TFormat, TMachine> guest
            || (guest.Port == port && (isStopped || !machine.Pes.HasCurrentVmid(guest)))
            || (machine.Options.Vcpus == 1 && machine.Pes.MaskOf(guest) != 0))
        {
            return false;
        }

        machine.Pes.Enter(guest, pe, choice: 0);
        return true;
    }
}
