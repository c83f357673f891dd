using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A virtual CPU. While its VM runs it has a core of its own, whose EL1 state is its state; powered off by PSCI it
/// keeps the core and waits there.
/// </summary>
/// <remarks>
/// Invariant: Vm is the slot that this vCPU lies in; a core's record lasts as long as the machine runs.
/// </remarks>
internal unsafe struct Vcpu
{
    /// <summary>First, so that a context's address is its vCPU's.</summary>
    internal VcpuContext Context;

    internal Vm* Vm;

    /// <summary>Index in the VM; Aff0 of the MPIDR that the guest sees.</summary>
    internal int Index;

    /// <summary>What ICH_HCR_EL2 was last set to.</summary>
    internal ulong InterruptControl;

    /// <summary>How many list registers of its core hold something, the first ones.</summary>
    internal int ListRegisters;

    /// <summary>Timers' interrupts that its core has taken and the virtual GIC does not know yet, as bits.</summary>
    internal uint RaisedTimers;

    internal VcpuCounters Counters;

    /// <summary>Its registers of self-hosted debug; all zero until the guest uses them.</summary>
    internal DebugRegisters Debug;

    /// <summary>What the core does not know of its EL1 physical timer.</summary>
    internal PhysicalTimer Timer;

    /// <summary>What was in its core when its VM was frozen.</summary>
    internal GuestRegisters Registers;

    /// <summary>
    /// The vCPU whose state this one is to begin with on its core: its template's, or itself. Null for a reset one, and
    /// once it has arrived.
    /// </summary>
    internal Vcpu* Origin;

    /// <summary>It asked for the freeze itself: the call returns in each child.</summary>
    internal bool AwaitsBirth;

    /// <summary>With this in X0.</summary>
    internal ulong BirthAnswer;

    private uint _attention;
    private nuint _core;

    /// <summary>
    /// Something besides running the guest is to be looked at before the next entry: a stop, a power state, interrupts.
    /// Set by any core, always before the kick; cleared by the vCPU's own, always before it looks.
    /// </summary>
    internal bool NeedsAttention
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        readonly get => Volatile.Read(in _attention) != 0;
        set => Volatile.Write(ref _attention, value ? 1u : 0u);
    }

    /// <summary>The core that runs it; null before the start and after the end.</summary>
    internal Core* Core
    {
        readonly get => (Core*)Volatile.Read(in Unsafe.As<nuint, ulong>(ref Unsafe.AsRef(in _core)));
        set => Volatile.Write(ref Unsafe.As<nuint, ulong>(ref _core), (ulong)value);
    }

    /// <summary>Its state is in its core, and its guest is about to be entered, or it is off.</summary>
    internal void Arrive()
    {
        if (Origin != null)
        {
            Origin = null;
            Vm->CountArrival();
        }
    }

    /// <summary>
    /// Makes its core look around before it goes on, and leave the guest for that, if it is another core.
    /// </summary>
    internal void Kick()
    {
        NeedsAttention = true;
        Core* core = Core;
        if (core != null && core != Cores.Core.Current)
        {
            core->Kick();
        }
    }
}
