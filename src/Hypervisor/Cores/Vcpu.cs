using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Scheduling;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>What a vCPU waits for before its guest is entered again.</summary>
internal enum VcpuWait : byte
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>An interrupt that it could take: WFI, PSCI CPU_SUSPEND.</summary>
    Interrupt,

    /// <summary>A kick: the end of an invalidation that its access has met.</summary>
    Kick,

    /// <summary>PSCI CPU_ON: it is off.</summary>
    Start,

    /// <summary>The others that wait for its core to have had a turn: WFE.</summary>
    Turn,
}

/// <summary>
/// A virtual CPU. On a core the core's EL1 state is its state; off it, that is in <see cref="Registers"/>.
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

    /// <summary>Timers' interrupts that its core has taken and the virtual GIC does not know yet, as bits.</summary>
    internal uint RaisedTimers;

    internal VcpuCounters Counters;

    /// <summary>Its registers of self-hosted debug; all zero until the guest uses them.</summary>
    internal DebugRegisters Debug;

    /// <summary>What the core does not know of its EL1 physical timer.</summary>
    internal PhysicalTimer Timer;

    /// <summary>What was in its core when it left it.</summary>
    internal GuestRegisters Registers;

    /// <summary>The scheduler's part of it.</summary>
    internal SchedulerEntry Turn;

    /// <summary>Ticks that were stolen from it before it was frozen, or its template was.</summary>
    internal ulong StolenBefore;

    /// <summary>What it waits for.</summary>
    internal VcpuWait Waits;

    /// <summary><see cref="Registers"/> hold its state: it has been on a core, and is on none.</summary>
    internal bool IsSaved;

    /// <summary>
    /// The vCPU whose state this one is to begin with on its core: its template's, or itself. Null for a reset one, and
    /// once it has arrived.
    /// </summary>
    internal Vcpu* Origin;

    /// <summary>It asked for the freeze itself: the call returns in each child.</summary>
    internal bool AwaitsBirth;

    /// <summary>With this in X0.</summary>
    internal ulong BirthAnswer;

    /// <summary>See <see cref="NeedsAttention"/>.</summary>
    internal uint Attention;

    private nuint _core;

    /// <summary>
    /// Something besides running the guest is to be looked at before the next entry: a stop, a power state, interrupts.
    /// Set by any core, always before the kick; cleared by the vCPU's own, always before it looks.
    /// </summary>
    internal bool NeedsAttention
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        readonly get => Volatile.Read(in Attention) != 0;
        set => Volatile.Write(ref Attention, value ? 1u : 0u);
    }

    /// <summary>The core that its state is in; null when it is in memory.</summary>
    internal Core* Core
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        readonly get => (Core*)Volatile.Read(in Unsafe.As<nuint, ulong>(ref Unsafe.AsRef(in _core)));
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
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

    /// <summary>Its guest is not entered before the event. On its own core.</summary>
    internal void Wait(VcpuWait wait)
    {
        Waits = wait;
        NeedsAttention = true;
    }

    /// <summary>
    /// Makes it look around before it goes on: it leaves its guest for that, if another core runs it, and gets a core
    /// if it is blocked.
    /// </summary>
    internal void Kick()
    {
        if (!TryInterrupt())
        {
            // Invariant: a vCPU lies in a VM's slot, which is never moved.
            Dispatcher.Wake((Vcpu*)Unsafe.AsPointer(ref this));
        }
    }

    /// <summary>
    /// The same, for one that a core has. False: its state is in memory. It looks around once a core has it; one that
    /// is just being saved says so (<see cref="Core"/>) before it looks for what kept it from blocking.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryInterrupt()
    {
        NeedsAttention = true;
        Core* core = Core;
        if (core != null && core != Cores.Core.Current)
        {
            core->Kick();
        }

        return core != null;
    }
}
