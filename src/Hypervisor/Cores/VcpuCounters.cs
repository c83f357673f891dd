using Quietus.Wire;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// What one vCPU's exits were, since it was made. What they cost is measured from the guest's side, by the filler, so
/// that counting costs the exits nothing.
/// </summary>
internal struct VcpuCounters
{
    internal ulong HypercallExits;
    internal ulong FaultExits;
    internal ulong InterruptExits;
    internal ulong MmioExits;
    internal ulong SystemRegisterExits;

    /// <summary>WFI and WFE, which trap when vCPUs take turns.</summary>
    internal ulong WaitExits;

    /// <summary>Faults that retry, exceptions that were injected: whatever is none of the above.</summary>
    internal ulong OtherExits;

    internal void Add(in VcpuCounters other)
    {
        HypercallExits += other.HypercallExits;
        FaultExits += other.FaultExits;
        InterruptExits += other.InterruptExits;
        MmioExits += other.MmioExits;
        SystemRegisterExits += other.SystemRegisterExits;
        WaitExits += other.WaitExits;
        OtherExits += other.OtherExits;
    }

    /// <summary>The sums as the protocol has them (docs/protocol.md).</summary>
    internal readonly void Write(ref LineBuilder line)
    {
        line.Field(
            "exits"u8,
            HypercallExits + FaultExits + InterruptExits + MmioExits + SystemRegisterExits + WaitExits + OtherExits);
        line.Field("hvc_exits"u8, HypercallExits);
        line.Field("fault_exits"u8, FaultExits);
        line.Field("irq_exits"u8, InterruptExits);
        line.Field("mmio_exits"u8, MmioExits);
        line.Field("sysreg_exits"u8, SystemRegisterExits);
        line.Field("wait_exits"u8, WaitExits);
    }
}
