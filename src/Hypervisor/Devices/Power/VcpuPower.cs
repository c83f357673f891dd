using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Guests;

namespace Quietus.Hypervisor.Devices;

/// <summary>Whether a vCPU runs, as PSCI tells it (Arm DEN 0022, AFFINITY_INFO).</summary>
public enum VcpuPowerState
{
    /// <summary>It runs, or waits in the guest's name.</summary>
    On = 0,

    /// <summary>It does not run.</summary>
    Off = 1,

    /// <summary>It has been told to start, and has not started yet.</summary>
    OnPending = 2,
}

/// <summary>
/// The power states of a VM's vCPUs. Any vCPU may start any other at any time, so that each change is one
/// compare-exchange: of several that start the same vCPU one wins. Needs no lock.
/// </summary>
/// <remarks>
/// <code>
///   Off --TryStart (any vCPU)--> Claimed --entry written--> OnPending --TryTakeStart (itself)--> On --TurnOff--> Off
/// </code>
/// A vCPU that turns itself off may be started again before its core has stopped: the core looks with
/// <see cref="TryTakeStart"/> before it sleeps. Zeroed memory has no vCPUs.
/// </remarks>
public struct VcpuPower
{
    private const uint Off = 0;
    private const uint Claimed = 1;
    private const uint OnPending = 2;
    private const uint On = 3;

    private States states;
    private Words entries;
    private Words contexts;
    private int count;

    /// <summary>The number of vCPUs.</summary>
    public readonly int Count => count;

    /// <summary>Turns all vCPUs off.</summary>
    /// <param name="vcpuCount">1 to 8.</param>
    public void Reset(int vcpuCount)
    {
        this = default;
        count = vcpuCount < GuestMemoryMap.MaximumVcpus ? vcpuCount : GuestMemoryMap.MaximumVcpus;
    }

    /// <summary>Whether a vCPU is on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsOn(int vcpu) => Volatile.Read(ref states[vcpu]) == On;

    /// <summary>A vCPU's state; a vCPU that does not exist is off.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public VcpuPowerState StateOf(int vcpu)
    {
        if ((uint)vcpu >= (uint)count)
        {
            return VcpuPowerState.Off;
        }

        return Volatile.Read(ref states[vcpu]) switch
        {
            Off => VcpuPowerState.Off,
            On => VcpuPowerState.On,
            _ => VcpuPowerState.OnPending,
        };
    }

    /// <summary>Whether no vCPU runs or is about to: nothing can ever happen in this VM again.</summary>
    public bool AllOff()
    {
        for (int vcpu = 0; vcpu < count; vcpu++)
        {
            if (Volatile.Read(ref states[vcpu]) != Off)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Tells a vCPU to start; afterwards its core must be woken up.</summary>
    /// <param name="vcpu">An existing vCPU.</param>
    /// <param name="entry">Where it begins.</param>
    /// <param name="context">What it finds in X0.</param>
    /// <returns>The state it was in: it starts only when it was off.</returns>
    public VcpuPowerState TryStart(int vcpu, ulong entry, ulong context)
    {
        uint found = Interlocked.CompareExchange(ref states[vcpu], Claimed, Off);
        if (found != Off)
        {
            return found == On ? VcpuPowerState.On : VcpuPowerState.OnPending;
        }

        entries[vcpu] = entry;
        contexts[vcpu] = context;
        Volatile.Write(ref states[vcpu], OnPending);
        return VcpuPowerState.Off;
    }

    /// <summary>On a vCPU's own core: whether it has been told to start; it is on from now.</summary>
    public bool TryTakeStart(int vcpu, out ulong entry, out ulong context)
    {
        entry = 0;
        context = 0;
        if (Volatile.Read(ref states[vcpu]) != OnPending)
        {
            return false;
        }

        entry = entries[vcpu];
        context = contexts[vcpu];
        Volatile.Write(ref states[vcpu], On);
        return true;
    }

    /// <summary>On a vCPU's own core: it is off from now.</summary>
    public void TurnOff(int vcpu) => Volatile.Write(ref states[vcpu], Off);

    [InlineArray(GuestMemoryMap.MaximumVcpus)]
    private struct States
    {
        private uint first;
    }

    [InlineArray(GuestMemoryMap.MaximumVcpus)]
    private struct Words
    {
        private ulong first;
    }
}
