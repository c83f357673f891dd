using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Simulator;
using Quietus.Stage2;

namespace Quietus.Oracle.Servers;

/// <summary>
/// A simulated server whose every operation a judge hears: the engine's through an
/// <see cref="ObservedMachine{TMachine, TObserver}"/> over the server's machine, the host's as its listener.
/// </summary>
internal sealed class JudgedServer : IServerListener
{
    private const int GranuleShift = 12;
    private const ulong GranuleBytes = 1UL << GranuleShift;

    private readonly Dictionary<SimulatedVm, VmPort> _ports = [];
    private readonly Dictionary<HostProcess, int> _owners = [];

    /// <summary>The VM that is being made: it asks for its machine before any other part has heard of it.</summary>
    private VmPort? _newPort;

    private JudgedServer(MachinePreset preset, ulong hostBytes, ulong poolBytes, int pes)
    {
        var features = new MachineFeatures(
            preset.HasForcedWriteBack, preset.HasRangeInvalidation, preset["level_hint"] != 0,
            preset["coherent_icache"] != 0);
        HasForcedWriteBack = features.ForcedWriteBack;
        Judge = new Judge(features, GranuleShift, pes);

        // The host hands each socket's memory out from its start.
        ulong share = preset.MemoryBytes / (ulong)preset.Sockets;
        for (ulong socket = 0; socket < (ulong)preset.Sockets; socket++)
        {
            Judge.AddMemory(
                new Pa(socket * share), Math.Min(share, hostBytes) & ~(GranuleBytes - 1), isPool: false, isZero: false);
        }

        Judge.AddMemory(new Pa(TableMemory.Base), poolBytes, isPool: true, isZero: true);
    }

    /// <summary>The judge of all that happens.</summary>
    public Judge Judge { get; }

    public bool HasForcedWriteBack { get; }

    /// <summary>The server itself.</summary>
    public SimulatedServer Server { get; private set; } = null!;

    /// <summary>Makes a judged server.</summary>
    /// <param name="preset">The machine.</param>
    /// <param name="hostBytes">How much of each socket's memory the host may come to use.</param>
    /// <param name="poolBytes">The memory that tables and guests out of the pool have; a multiple of 2 MB.</param>
    /// <param name="pes">PEs that do anything, at most 32.</param>
    /// <param name="observe">Makes what is told of a VM's operations: tests put a defect between.</param>
    public static JudgedServer Make<TObserver>(
        MachinePreset preset, ulong hostBytes, ulong poolBytes, int pes, Func<JudgeObserver, TObserver> observe)
        where TObserver : struct, IMachineObserver
    {
        var judged = new JudgedServer(preset, hostBytes, poolBytes, pes);
        var layer = new MachineLayer<ObservedMachine<SimulatedMachine, TObserver>>((vm, machine) =>
        {
            judged._newPort = new VmPort(judged.Judge, new FrameView<SimulatedMachine>(machine)) { Pe = vm.Pe };
            return new(machine, observe(new JudgeObserver(judged._newPort)));
        });
        judged.Server = new SimulatedServer(preset, poolBytes, layer) { Listener = judged };
        return judged;
    }

    /// <summary>The party that a VM is to the judge.</summary>
    public JudgedVm PartyOf(SimulatedVm vm) => _ports[vm].Vm!;

    /// <inheritdoc/>
    public void Created(SimulatedVm vm)
    {
        VmPort port = _newPort!;
        string name = $"VM {(char)('A' + (_ports.Count % 26))}";
        var root = new Pa(vm.Vttbr & ((1UL << 48) - 1));
        port.Vm = Judge.AddVm(name, root, vm.Geometry.RootTables, vm.Geometry.StartLevel);
        _ports.Add(vm, port);
    }

    /// <inheritdoc/>
    public void BeginsCall(SimulatedVm vm)
    {
        VmPort port = _ports[vm];
        port.Pe = vm.Pe;
        Judge.BeginCall(port.Vm);
    }

    /// <inheritdoc/>
    public void EndsCall(SimulatedVm vm)
    {
        VmPort port = _ports[vm];
        if (vm.Exists)
        {
            port.Settle();
        }
        else
        {
            port.FindReturned();
        }

        Judge.EndCall();
    }

    /// <inheritdoc/>
    public void TookPage(HostProcess process, Pa frame, ulong bytes, bool isZeroed)
    {
        if (!_owners.TryGetValue(process, out int owner))
        {
            owner = Judge.AddParty($"process {_owners.Count + 1}");
            _owners.Add(process, owner);
        }

        Judge.Own(frame, bytes, owner);
        Judge.Write(frame, bytes, Judge.Hypervisor, isZeroed ? Judge.Hypervisor : owner, isCached: true);
    }

    /// <inheritdoc/>
    public void FreedPage(Pa frame, ulong bytes) => Judge.ReturnFrames(frame, bytes);
}
