using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Vms;

/// <summary>
/// A VM's random numbers, on any core. A VM takes its own seed from the machine's generator when it first needs one,
/// and inherits none: a child has nothing in common with its template.
/// </summary>
/// <remarks>Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.</remarks>
internal static unsafe class VmRandom
{
    /// <summary>
    /// False, and nothing written: the machine has no source, or the VM shall do the same each time (random=off).
    /// </summary>
    internal static bool TryFill(Vm* vm, scoped Span<byte> destination)
    {
        if (vm->Options.IsRepeatable)
        {
            return false;
        }

        vm->RandomLock.Enter();
        bool isThere = (vm->Random.IsSeeded || MachineRandom.TrySeed(ref vm->Random))
            && vm->Random.TryFill(destination);
        vm->RandomLock.Leave();
        return isThere;
    }

    /// <summary>Whether <see cref="TryFill"/> would.</summary>
    internal static bool IsThere(Vm* vm) => !vm->Options.IsRepeatable && MachineRandom.IsSeeded;

    /// <summary>They as a device's source.</summary>
    internal readonly struct Source(Vm* vm) : IRandomSource
    {
        public bool TryFill(scoped Span<byte> destination) => VmRandom.TryFill(vm, destination);
    }
}
