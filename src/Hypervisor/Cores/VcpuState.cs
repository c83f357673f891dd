using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>A vCPU out of its core, and into another: between two turns, and from a frozen VM into a child.</summary>
/// <remarks>
/// Invariant of the unsafe code: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped; what it
/// is loaded from is a frozen VM's, which lives as long as its children, or its own.
/// </remarks>
internal static unsafe class VcpuState
{
    /// <summary>
    /// Saves what the core still holds of the vCPU. Its list registers go back into the virtual GIC. Afterwards
    /// the vCPU is unloaded like any other.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Save(Vcpu* vcpu)
    {
        VcpuInterrupts.Unload(vcpu);
        Instructions.SaveGuestRegisters(vcpu->Registers.System);
        VcpuInterrupts.SaveInterface(vcpu);
    }

    /// <summary>
    /// Loads a vCPU from where <see cref="Save"/> left it, or the one that it is a copy of. Guest time has been set.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Load(Vcpu* vcpu, Vcpu* from)
    {
        if (from != vcpu)
        {
            Copy(vcpu, from);
        }

        if (from->AwaitsBirth)
        {
            vcpu->Context.X[0] = vcpu->BirthAnswer;
            vcpu->AwaitsBirth = false;
        }

        VcpuInterrupts.LoadInterface(vcpu, from);
        Instructions.LoadGuestRegisters(from->Registers.System);
        VcpuTimers.Load(vcpu, from->Registers.PhysicalTimerControl);
        GuestDebug.LoadAll(vcpu);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Copy(Vcpu* vcpu, Vcpu* from)
    {
        vcpu->Context = from->Context;
        vcpu->Debug.Inherit(in from->Debug);
        vcpu->Timer = from->Timer;
    }
}
