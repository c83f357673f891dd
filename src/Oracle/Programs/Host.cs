using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Search;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// Runs programs: a machine of PEs with VMs over the real <see cref="GuestMemory{TFormat, TMachine}"/>, and a host with
/// files, anonymous memory, and a device that does not snoop. A judge is told of everything that happens.
/// </summary>
/// <remarks>
/// The host keeps its <see cref="HostContract{TFormat, TMachine}"/>: fates are true, freed frames are overwritten
/// before they are given on, drivers do their own maintenance under FEAT_S2FWB.
/// </remarks>
public sealed class Host<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private readonly ProgramMachine<TFormat, TMachine> _machine;
    private readonly VmLives<TFormat, TMachine> _lives;
    private readonly GuestAccess<TFormat, TMachine> _access;
    private readonly PoolMemory<TFormat, TMachine> _pool;
    private readonly HostMemory<TFormat, TMachine> _memory;
    private readonly HugeFile<TFormat, TMachine> _hugeFile;
    private readonly BoundedCalls<TFormat, TMachine> _bounded;
    private readonly Meanwhile<TFormat, TMachine> _meanwhile;

    /// <param name="options">The circumstances.</param>
    /// <param name="make">Makes a VM's machine out of the observed one: tests put a defect between.</param>
    /// <param name="contract">What the host does as it must: tests break it.</param>
    public Host(
        ProgramOptions options,
        Func<ObservedMachine<ModelMachine, JudgeObserver>, VmPort, TMachine> make,
        HostContract<TFormat, TMachine>? contract = null)
    {
        _machine = new ProgramMachine<TFormat, TMachine>(options, contract ?? new HostContract<TFormat, TMachine>());
        _lives = new VmLives<TFormat, TMachine>(_machine, make);
        _hugeFile = new HugeFile<TFormat, TMachine>(_machine);
        _access = new GuestAccess<TFormat, TMachine>(_machine, _hugeFile);
        _pool = new PoolMemory<TFormat, TMachine>(_machine);
        _memory = new HostMemory<TFormat, TMachine>(_machine);
        _bounded = new BoundedCalls<TFormat, TMachine>(_machine, _hugeFile);
        _meanwhile = new Meanwhile<TFormat, TMachine>(_machine);
    }

    /// <summary>The judge of this machine.</summary>
    public Judge Judge => _machine.Judge;

    /// <summary>Takes each line of the story from now on; null for none.</summary>
    public Action<string>? Tell
    {
        set => _machine.Story.TellTo(value, () => Judge.Sequence);
    }

    /// <summary>Tells what the program came to.</summary>
    public void TellEnd(Violation violation) => _machine.Story.End(violation);

    /// <summary>This host is done: the next one of this thread takes its memory.</summary>
    internal void Leave()
    {
        Judge.Leave();
        _machine.World.Leave();
    }

    /// <summary>Runs one step; throws a <see cref="ViolationException"/> where the judge says so.</summary>
    public void Run(ProgramStep step)
    {
        int pe = step.Pe % _machine.Options.Pes;
        int slot = SlotOf(step, pe);
        if (_machine.Guests[slot] is not Guest<TFormat, TMachine> guest)
        {
            if (step.Operation is Operation.Create or Operation.Enter)
            {
                _lives.Create(slot, (step.Choice & 3) == 1);
            }
            else if (step.Operation == Operation.Fork && Find(step.Choice, isTemplate: true) is >= 0 and int template)
            {
                _lives.Fork(slot, _machine.Guests[template]!);
            }

            return;
        }

        _meanwhile.Begin(guest.Port, step);
        if (step.Operation is Operation.UnmapPool or Operation.ReplaceSlot or Operation.BeginUnmap
            or Operation.ContinueUnmap)
        {
            Array.Clear(guest.Written);
        }

        Place place = Places<TFormat>.Of(step.Page);
        if (place.Region == Region.Huge)
        {
            _hugeFile.Use();
        }

        Run(step, guest, pe, place);
        Soundness.Check(in _machine.World.Pool);
    }

    /// <summary>
    /// A hash of everything that later steps depend on; false where there is none, so that the state must pass for a
    /// new one.
    /// </summary>
    internal bool TryHashState(StateHash hash, bool isSymmetric, out UInt128 state)
    {
        // The huge file's blocks are not written: a state with it is like no other.
        state = UInt128.MaxValue;
        return !_hugeFile.IsUsed && ProgramState.TryHash(_machine, hash, isSymmetric, out state);
    }

    /// <summary>What a step that is not run would do here.</summary>
    internal StepEffect EffectOf(ProgramStep step) => ProgramState.EffectOf(_machine, step);

    /// <summary>
    /// The VM that a step is about. Where VMs have children, a guest's step is the running one's, templates are not
    /// entered, and a child is born where there is room: else most steps come to nothing.
    /// </summary>
    private int SlotOf(ProgramStep step, int pe)
    {
        int slot = step.Vm % _machine.Guests.Length;
        int found = !_machine.Options.Forks ? -1 : step.Operation switch
        {
            (>= Operation.Read and <= Operation.Execute) or Operation.BeginFault or Operation.EndFault =>
                _machine.Pes.On(pe)?.Slot ?? -1,
            Operation.Enter => _machine.Guests[slot] is { Memory.IsFrozen: true } ? Find(slot, isTemplate: false) : -1,
            Operation.Fork => Array.IndexOf(_machine.Guests, null),
            _ => -1,
        };
        return found < 0 ? slot : found;
    }

    /// <summary>The first VM from a slot on that is a template, or that is none; -1 where there is none.</summary>
    private int Find(int from, bool isTemplate)
    {
        for (int at = 0; at < _machine.Guests.Length; at++)
        {
            int slot = (from + at) % _machine.Guests.Length;
            if (_machine.Guests[slot] is { } guest && guest.Memory.IsFrozen == isTemplate)
            {
                return slot;
            }
        }

        return -1;
    }

    private void Run(ProgramStep step, Guest<TFormat, TMachine> guest, int pe, Place place)
    {
        bool isHuge = place.Region == Region.Huge;
        switch (step.Operation)
        {
            case Operation.Create:
                break;
            case Operation.Enter:
                _machine.Pes.Enter(guest, pe, step.Choice);
                break;
            case Operation.Leave:
                _machine.Pes.Leave(pe);
                break;
            case <= Operation.Execute:
                _access.Run(guest, pe, place, step);
                break;
            case Operation.UnmapPool when isHuge:
                _hugeFile.Change(guest, place, step);
                break;
            case <= Operation.Age:
                _pool.Change(guest, place, step);
                break;
            case Operation.Kill or Operation.KillLate:
                _lives.Kill(guest, step.Operation == Operation.KillLate);
                break;
            case Operation.Scrub:
                _lives.Scrub(guest);
                break;
            case Operation.BeginUnmap:
                _bounded.Begin(guest, place, step);
                break;
            case Operation.ContinueUnmap:
                _bounded.Continue(guest);
                break;
            case Operation.BeginFault:
                _access.BeginFault(guest, pe, place, step.Choice);
                break;
            case Operation.EndFault:
                _machine.Pes.CommitFault(guest, pe);
                break;
            case Operation.UseVmid:
                _machine.Pes.UseVmid(guest);
                break;
            case Operation.Freeze:
                _lives.Freeze(guest);
                break;
            case Operation.Fork:
                break;
            case Operation.Reset:
                _lives.Reset(guest);
                break;
            default:
                if (isHuge)
                {
                    _hugeFile.Change(guest, place, step);
                }
                else
                {
                    _memory.Change(guest, place.Index, step);
                }

                break;
        }
    }
}
