using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// What other PEs do while one is within a step, between one event of the machine's boundary and the next.
/// </summary>
internal sealed class Meanwhile<TFormat, TMachine>(ProgramMachine<TFormat, TMachine> machine)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private Random _random = new(0);

    /// <summary>A step begins: with a race other PEs go on during it, at random from the race's seed.</summary>
    public void Begin(VmPort port, ProgramStep step)
    {
        bool isRace = step.Race != 0;
        _random = isRace ? new Random(step.Race) : _random;
        port.Current = step.Operation;
        port.Invalidations = 0;
        port.Maintained = 0;
        port.Between = isRace ? GoOn : null;
        port.Records.SetsAccessFlag =
            isRace ? entry => _random.Next(2) == 0 && machine.Judge.TrySetAccessFlag(entry) : null;
    }

    /// <summary>Other PEs' guests go on: one writes where a translation that is going may still let it.</summary>
    private void GoOn(VmPort port)
    {
        if (port.Vm is not { } vm || _random.Next(2) == 0)
        {
            return;
        }

        int pe = _random.Next(machine.Options.Pes);
        if (Judge.TryReachStale(vm, pe, (ulong)(uint)_random.Next(), out _, out Pa page))
        {
            machine.Judge.Write(
                page, Places<TFormat>.Granule, vm.Party, machine.Judge.OwnerOf(page), isCached: true);
        }
    }
}
