using System;
using Quietus.Memory;

namespace Quietus.Simulator;

/// <summary>
/// What lies between the engine and the machine of each VM on a server: nothing, or something that looks on. It is a
/// type parameter of the engine, so that a server without one pays nothing for it.
/// </summary>
public abstract class MachineLayer
{
    /// <summary>Nothing.</summary>
    public static MachineLayer None { get; } = new MachineLayer<SimulatedMachine>((_, machine) => machine);

    internal abstract VmEngine Make(SimulatedVm vm, SimulatedMachine machine);
}

/// <summary>A layer made by a function, once for each VM.</summary>
/// <param name="wrap">Gives the machine that the engine is to have.</param>
public sealed class MachineLayer<TMachine>(Func<SimulatedVm, SimulatedMachine, TMachine> wrap) : MachineLayer
    where TMachine : struct, IMemoryMachine
{
    internal override VmEngine Make(SimulatedVm vm, SimulatedMachine machine) =>
        new VmEngine<TMachine>(wrap(vm, machine));
}
