namespace Quietus.Hypervisor.Cores;

/// <summary>What a core does with its time.</summary>
internal struct CoreFigures
{
    /// <summary>The number of the VM that it runs; 0 for none.</summary>
    internal ulong Vm;

    /// <summary>Which vCPU of it.</summary>
    internal int Vcpu;

    /// <summary>vCPUs that wait for it.</summary>
    internal int Waiting;

    /// <summary>Ticks of the system counter in which it ran some vCPU.</summary>
    internal ulong BusyTicks;

    /// <summary>vCPUs that it took over from other cores.</summary>
    internal ulong Taken;
}
