using Quietus.Hypervisor.Monitor;

namespace Quietus.Hypervisor.Core;

/// <summary>
/// What one vCPU's exits were, since it was made. Instructions are measured from the moment when C# has control after
/// the exit to the decision to enter again: saving and loading the guest's registers is not in them (the filler guest
/// measures whole round trips, from its side).
/// </summary>
internal struct VcpuCounters
{
    internal ulong HypercallExits;
    internal ulong FaultExits;
    internal ulong FaultInstructions;
    internal ulong InterruptExits;
    internal ulong MmioExits;
    internal ulong SystemRegisterExits;

    /// <summary>Faults that retry, exceptions that were injected: whatever is none of the above.</summary>
    internal ulong OtherExits;

    internal void Add(in VcpuCounters other)
    {
        HypercallExits += other.HypercallExits;
        FaultExits += other.FaultExits;
        FaultInstructions += other.FaultInstructions;
        InterruptExits += other.InterruptExits;
        MmioExits += other.MmioExits;
        SystemRegisterExits += other.SystemRegisterExits;
        OtherExits += other.OtherExits;
    }

    /// <summary>The sums as the protocol has them (docs/protocol.md).</summary>
    internal readonly void Write(ref LineBuilder line)
    {
        line.Field(
            "exits"u8, HypercallExits + FaultExits + InterruptExits + MmioExits + SystemRegisterExits + OtherExits);
        line.Field("hvc_exits"u8, HypercallExits);
        line.Field("fault_exits"u8, FaultExits);
        line.Field("fault_instructions"u8, FaultInstructions);
        line.Field("irq_exits"u8, InterruptExits);
        line.Field("mmio_exits"u8, MmioExits);
        line.Field("sysreg_exits"u8, SystemRegisterExits);
    }
}
