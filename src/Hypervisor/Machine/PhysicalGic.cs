namespace Quietus.Hypervisor.Machine;

/// <summary>
/// The machine's GICv3 as EL2 uses it (IHI 0069): one security state's view, affinity routing, Group 1. EL2 itself
/// takes interrupts masked; it waits with WFI and acknowledges what is pending.
/// </summary>
internal struct PhysicalGic
{
    /// <summary>SGI 1: look at your orders (a vCPU must leave its guest, the monitor must look around).</summary>
    internal const uint KickInterrupt = 1;

    /// <summary>INTID 1020 to 1023 are answers, not interrupts (IHI 0069, "special INTIDs").</summary>
    internal const uint FirstSpecial = 1020;

    private const ulong DistributorControl = 0x0000;
    private const ulong DistributorType = 0x0004;
    private const ulong Group = 0x0080;
    private const ulong SetEnable = 0x0100;
    private const ulong ClearEnable = 0x0180;
    private const ulong ClearPending = 0x0280;
    private const ulong ClearActive = 0x0380;
    private const ulong Priority = 0x0400;
    private const ulong Configuration = 0x0C00;
    private const ulong Route = 0x6000;
    private const ulong PeripheralId2 = 0xFFE8;
    private const ulong RedistributorType = 0x0008;
    private const ulong RedistributorWaker = 0x0014;
    private const ulong SgiFrame = 0x10000;
    private const uint DistributorWritePending = 1u << 31;
    private const uint RedistributorWritePending = 1u << 3;
    private const byte EveryonesPriority = 0xA0;

    private ulong _distributor;

    /// <summary>Resets the distributor and routes nothing. Answers false where there is no GICv3 or v4.</summary>
    internal bool Initialize(ulong distributor)
    {
        _distributor = distributor;
        uint architecture = (Mmio.Read32(distributor + PeripheralId2) >> 4) & 0xF;
        if (architecture is not (3 or 4))
        {
            return false;
        }

        Mmio.Write32(distributor + DistributorControl, 0);
        WaitForWrite(distributor, DistributorWritePending);
        uint lines = 32 * ((Mmio.Read32(distributor + DistributorType) & 0x1F) + 1);
        for (ulong word = 4; word < lines / 8; word += 4)
        {
            Mmio.Write32(distributor + ClearEnable + word, uint.MaxValue);
            Mmio.Write32(distributor + ClearPending + word, uint.MaxValue);
            Mmio.Write32(distributor + ClearActive + word, uint.MaxValue);
            Mmio.Write32(distributor + Group + word, uint.MaxValue);
        }

        WaitForWrite(distributor, DistributorWritePending);
        const uint AffinityAndGroup1 = 0x10 | 0x2;
        Mmio.Write32(distributor + DistributorControl, AffinityAndGroup1);
        WaitForWrite(distributor, DistributorWritePending);
        return true;
    }

    /// <summary>Routes a shared peripheral interrupt to one core, and enables it as a level-triggered one.</summary>
    internal readonly void EnableShared(uint interrupt, ulong affinity)
    {
        Mmio.Write8(_distributor + Priority + interrupt, EveryonesPriority);
        uint bits = Mmio.Read32(_distributor + Configuration + (interrupt / 16 * 4));
        Mmio.Write32(_distributor + Configuration + (interrupt / 16 * 4), bits & ~(2u << (int)(interrupt % 16 * 2)));
        Mmio.Write64(_distributor + Route + (interrupt * 8), affinity & 0xFF_00FF_FFFF);
        Mmio.Write32(_distributor + SetEnable + (interrupt / 32 * 4), 1u << (int)(interrupt % 32));
        WaitForWrite(_distributor, DistributorWritePending);
    }

    /// <summary>Whether a redistributor's frame belongs to a core.</summary>
    internal static bool Serves(ulong redistributor, ulong affinity)
    {
        uint packed = (uint)((affinity & 0xFF_FFFF) | ((affinity >> 8) & 0xFF00_0000));
        return Mmio.Read32(redistributor + RedistributorType + 4) == packed;
    }

    /// <summary>Whether a redistributor is the last one of its region (GICR_TYPER.Last).</summary>
    internal static bool IsLast(ulong redistributor) => (Mmio.Read32(redistributor + RedistributorType) & 0x10) != 0;

    /// <summary>Bytes from one redistributor to the next: with GICR_TYPER.VLPIS there are two more frames.</summary>
    internal static ulong Stride(ulong redistributor) =>
        (Mmio.Read32(redistributor + RedistributorType) & 0x2) != 0 ? 0x40000UL : 0x20000UL;

    /// <summary>Wakes this core's redistributor, and sets up its private interrupts and its CPU interface.</summary>
    /// <param name="redistributor">This core's frames.</param>
    /// <param name="enabled">Which of INTID 0 to 31 are enabled.</param>
    internal static void InitializeCore(ulong redistributor, uint enabled)
    {
        Mmio.Write32(
            redistributor + RedistributorWaker, Mmio.Read32(redistributor + RedistributorWaker) & ~2u);
        while ((Mmio.Read32(redistributor + RedistributorWaker) & 4) != 0)
        {
        }

        ulong frame = redistributor + SgiFrame;
        Mmio.Write32(frame + ClearEnable, uint.MaxValue);
        Mmio.Write32(frame + ClearPending, uint.MaxValue);
        Mmio.Write32(frame + ClearActive, uint.MaxValue);
        Mmio.Write32(frame + Group, uint.MaxValue);
        for (uint interrupt = 0; interrupt < 32; interrupt++)
        {
            Mmio.Write8(frame + Priority + interrupt, EveryonesPriority);
        }

        Mmio.Write32(frame + SetEnable, enabled);
        WaitForWrite(redistributor, RedistributorWritePending);

        // SRE, DFB, DIB without Enable: a guest's ICC_SRE_EL1 traps, so that it cannot leave it off for the next one.
        const ulong SystemRegisters = 7;
        Instructions.WriteIccSreEl2(SystemRegisters);
        Instructions.WriteIccSreEl1(7);
        Instructions.WriteIccPmr(0xF0);
        Instructions.WriteIccBpr1(0);
        Instructions.WriteIccAp1r0(0);
        // EOImode: EOIR drops the priority, DIR (or a guest, by LR.HW) deactivates.
        const ulong SeparateDeactivation = 2;
        Instructions.WriteIccCtlr(SeparateDeactivation);
        Instructions.WriteIccIgrpen1(1);
    }

    /// <summary>Makes private interrupts of this core active: a guest that comes to it has them to end.</summary>
    internal static void SetPrivateActive(ulong redistributor, uint interrupts)
    {
        const ulong SetActive = 0x0300;
        Mmio.Write32(redistributor + SgiFrame + SetActive, interrupts);
        WaitForWrite(redistributor, RedistributorWritePending);
    }

    /// <summary>
    /// Makes private interrupts of this core inactive: a vCPU's leftovers when it is gone. A write that comes after it
    /// takes effect after it.
    /// </summary>
    internal static void ClearPrivateActive(ulong redistributor, uint interrupts) =>
        Mmio.Write32(redistributor + SgiFrame + ClearActive, interrupts);

    /// <summary>What sends <see cref="KickInterrupt"/> to the core of this affinity.</summary>
    internal static ulong KickOf(ulong affinity) =>
        (1UL << (int)(affinity & 0xF))
            | (((affinity >> 8) & 0xFF) << 16)
            | ((ulong)KickInterrupt << 24)
            | (((affinity >> 16) & 0xFF) << 32)
            | (((affinity >> 4) & 0xF) << 44)
            | (((affinity >> 32) & 0xFF) << 48);

    /// <summary>Sends it: what this core has written is seen by the one that acknowledges it.</summary>
    internal static void Kick(ulong value)
    {
        Instructions.DataSynchronizationIshSt();
        Instructions.SendSgi(value);
    }

    /// <summary>Waits until writes have taken effect (GICD_CTLR.RWP, GICR_CTLR.RWP).</summary>
    private static void WaitForWrite(ulong frame, uint pending)
    {
        while ((Mmio.Read32(frame + DistributorControl) & pending) != 0)
        {
        }
    }
}
