using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// The GIC's registers in memory, by their offsets in IHI 0069 chapter 12. Registers that do not exist here, sizes
/// that a register does not allow, and misaligned accesses read as zero and ignore writes.
/// </summary>
/// <remarks>
/// GICR_WAKER is among them, as in KVM: a redistributor is always awake, for guests that never wake it as for those
/// that do, and one that is told to sleep does not. docs/guests.md has the whole list beside KVM's.
/// </remarks>
public partial struct VirtualGic
{
    // The distributor's frame.
    private const uint Ctlr = 0x0000;
    private const uint Typer = 0x0004;
    private const uint Iidr = 0x0008;
    private const uint Irouter = 0x6000;

    // The same in the distributor and in a redistributor's SGI frame.
    private const uint Igroupr = 0x0080;
    private const uint Isenabler = 0x0100;
    private const uint Icenabler = 0x0180;
    private const uint Ispendr = 0x0200;
    private const uint Icpendr = 0x0280;
    private const uint Isactiver = 0x0300;
    private const uint Icactiver = 0x0380;
    private const uint Ipriorityr = 0x0400;
    private const uint IpriorityrEnd = 0x0800;
    private const uint Icfgr = 0x0C00;
    private const uint IcfgrEnd = 0x0D00;

    // A redistributor's RD frame; its SGI frame follows.
    private const uint RedistributorIidr = 0x0004;
    private const uint RedistributorTyper = 0x0008;
    private const uint SgiFrame = 0x1_0000;

    /// <summary>GICD_PIDR2 and GICR_PIDR2.</summary>
    private const uint Pidr2 = 0xFFE8;
    private const uint Cidr0 = 0xFFF0;

    /// <summary>
    /// GICD_CTLR: affinity routing is always on (ARE, bit 4), and there is one security state (DS, bit 6).
    /// </summary>
    private const uint CtlrFixed = (1 << 4) | (1 << 6);

    /// <summary>GICD_CTLR's EnableGrp0 and EnableGrp1.</summary>
    private const uint CtlrGroups = 3;

    /// <summary>
    /// GICD_TYPER: an SPI goes to the one vCPU that it is routed to, never to any of several (No1N, bit 25); INTIDs of
    /// 10 bits (19..23), no LPIs, no message-based SPIs, 96 INTIDs (0..4).
    /// </summary>
    private const uint TyperValue = (1 << 25) | (9 << 19) | ((InterruptCount / 32) - 1);

    /// <summary>GICD_IIDR and GICR_IIDR: product 'Q', no JEP106 implementer.</summary>
    private const uint IidrValue = 'Q' << 24;

    /// <summary>PIDR2: GICv3 (bits 4..7), and as every Arm design a JEP106 code (bit 3).</summary>
    private const uint Pidr2Value = 0x3B;

    /// <summary>CIDR0 to CIDR3, a byte each: a component of class 0xF.</summary>
    private const uint CidrValue = 0xB105_F00D;

    /// <summary>Five bits of priority, as the least that a virtual CPU interface has (ICH_VTR_EL2.PRIbits).</summary>
    private const byte PriorityMask = 0xF8;

    /// <summary>
    /// GICD_IROUTER's bits that can be written: Aff3, Aff2, Aff1, Aff0. IRM is reserved with GICD_TYPER.No1N.
    /// </summary>
    private const ulong RouterMask = 0xFF_00FF_FFFF;

    /// <summary>Reads the distributor.</summary>
    /// <param name="offset">Byte offset in its frame; any value.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    public ulong ReadDistributor(ulong offset, int size)
    {
        if (!IsAligned(offset, size))
        {
            return 0;
        }

        if (IsRouter(offset, size, out int router))
        {
            return size == 8 ? routers[router] : (uint)(routers[router] >> (offset % 8 == 0 ? 0 : 32));
        }

        if (size == 4)
        {
            switch (offset)
            {
                case Ctlr:
                    return CtlrFixed | enabledGroups;
                case Typer:
                    return TyperValue;
                case Iidr:
                    return IidrValue;
            }
        }

        return IsBankRegister(offset, size, out int bank, out uint register) && bank is > 0 and <= SharedBanks
            ? ReadBank(ref shared[bank - 1], register, offset, size)
            : ReadIdentification(offset, size);
    }

    /// <summary>Writes the distributor; the result names the vCPUs to kick.</summary>
    /// <param name="vcpu">The vCPU that writes.</param>
    /// <param name="offset">Byte offset in its frame; any value.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value; bits beyond the size are ignored.</param>
    public uint WriteDistributor(int vcpu, ulong offset, int size, ulong value)
    {
        if (!IsAligned(offset, size))
        {
            return 0;
        }

        if (IsRouter(offset, size, out int router))
        {
            ref ulong current = ref routers[router];
            ulong wanted = size == 8 ? value
                : offset % 8 == 0 ? (current & ~0xFFFF_FFFFUL) | (uint)value
                : (current & 0xFFFF_FFFFUL) | (value << 32);
            current = wanted & RouterMask;
            Route(router);
            return RefreshAll();
        }

        if (offset == Ctlr && size == 4)
        {
            enabledGroups = (uint)value & CtlrGroups;
            return RefreshAll();
        }

        if (!IsBankRegister(offset, size, out int bank, out uint register) || bank is <= 0 or > SharedBanks)
        {
            return 0;
        }

        WriteBank(ref shared[bank - 1], register, offset, size, value);
        if (register == Isactiver)
        {
            HoldActive(vcpu, bank - 1);
        }
        else if (register == Icactiver)
        {
            ReleaseInactive(bank - 1);
        }

        return RefreshAll();
    }

    /// <summary>Reads a redistributor.</summary>
    /// <param name="frame">
    /// Whose redistributor: the address divided by its size; frames beyond the vCPUs read as 0.
    /// </param>
    /// <param name="offset">Byte offset in its 128 KB; any value.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    public ulong ReadRedistributor(int frame, ulong offset, int size)
    {
        if ((uint)frame >= (uint)count || !IsAligned(offset, size))
        {
            return 0;
        }

        if (offset >= SgiFrame)
        {
            offset -= SgiFrame;
            return IsBankRegister(offset, size, out int bank, out uint register) && bank == 0
                ? ReadBank(ref vcpus[frame].Private, register, offset, size)
                : ReadIdentification(offset, size);
        }

        ulong typer = RedistributorTyperOf(frame);
        switch (offset)
        {
            case RedistributorIidr when size == 4:
                return IidrValue;
            case RedistributorTyper when size == 8:
                return typer;
            case RedistributorTyper when size == 4:
                return (uint)typer;
            case RedistributorTyper + 4 when size == 4:
                return typer >> 32;
            default:
                return ReadIdentification(offset, size);
        }
    }

    /// <summary>Writes a redistributor; the result names the vCPUs to kick.</summary>
    /// <param name="frame">Whose redistributor; writes beyond the vCPUs are ignored.</param>
    /// <param name="offset">Byte offset in its 128 KB; any value.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    /// <param name="value">The value; bits beyond the size are ignored.</param>
    public uint WriteRedistributor(int frame, ulong offset, int size, ulong value)
    {
        if ((uint)frame >= (uint)count || !IsAligned(offset, size))
        {
            return 0;
        }

        if (offset < SgiFrame)
        {
            return 0;
        }

        offset -= SgiFrame;
        if (!IsBankRegister(offset, size, out int bank, out uint register) || bank != 0 || register == Icfgr)
        {
            // What triggers a private interrupt is fixed.
            return 0;
        }

        WriteBank(ref vcpus[frame].Private, register, offset, size, value);
        return Refresh(frame);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsAligned(ulong offset, int size) => (offset & ((uint)size - 1)) == 0;

    private static bool IsRouter(ulong offset, int size, out int index)
    {
        // GICD_IROUTER<n> is at 0x6000 + 8n, for SPIs only.
        ulong number = (offset - Irouter) / 8;
        index = (int)(number - FirstShared);
        return size is 4 or 8 && offset >= Irouter && number is >= FirstShared and < InterruptCount;
    }

    /// <summary>
    /// Tells which register an offset is of those that come in banks of 32 interrupts, and of which bank.
    /// </summary>
    private static bool IsBankRegister(ulong offset, int size, out int bank, out uint register)
    {
        bank = 0;
        register = 0;
        if (offset is >= Igroupr and < Ipriorityr)
        {
            bank = (int)((offset % 0x80) / 4);
            register = (uint)offset & ~0x7FU;
            return size == 4;
        }

        if (offset is >= Ipriorityr and < IpriorityrEnd)
        {
            bank = (int)((offset - Ipriorityr) / 32);
            register = Ipriorityr;
            return size is 1 or 4;
        }

        if (offset is >= Icfgr and < IcfgrEnd)
        {
            bank = (int)((offset - Icfgr) / 8);
            register = Icfgr;
            return size == 4;
        }

        return false;
    }

    private static ulong ReadIdentification(ulong offset, int size)
    {
        if (size != 4)
        {
            return 0;
        }

        return offset == Pidr2 ? Pidr2Value
            : offset is >= Cidr0 and <= Cidr0 + 12 ? (CidrValue >> ((int)(offset - Cidr0) * 2)) & 0xFF
            : 0;
    }

    private static ulong ReadBank(ref InterruptBank bank, uint register, ulong offset, int size)
    {
        switch (register)
        {
            case Igroupr:
                return bank.Group1;
            case Isenabler or Icenabler:
                return bank.Enabled;
            case Ispendr or Icpendr:
                return bank.Pending;
            case Isactiver or Icactiver:
                return bank.Active;
            case Ipriorityr:
                int first = (int)(offset % 32);
                ulong priorities = 0;
                for (int i = size - 1; i >= 0; i--)
                {
                    priorities = (priorities << 8) | bank.Priorities[first + i];
                }

                return priorities;
            default:
                // GICx_ICFGR: two bits for each interrupt, of which the upper one says edge-triggered.
                uint edges = bank.EdgeTriggered >> (int)((offset & 4) * 4);
                uint configuration = 0;
                for (int i = 15; i >= 0; i--)
                {
                    configuration = (configuration << 2) | (((edges >> i) & 1) << 1);
                }

                return configuration;
        }
    }

    private static void WriteBank(ref InterruptBank bank, uint register, ulong offset, int size, ulong value)
    {
        uint bits = (uint)value;
        switch (register)
        {
            case Igroupr:
                bank.Group1 = bits;
                break;
            case Isenabler:
                bank.Enabled |= bits;
                break;
            case Icenabler:
                bank.Enabled &= ~bits;
                break;
            case Ispendr:
                bank.SetPending(bits);
                break;
            case Icpendr:
                bank.ClearPending(bits);
                break;
            case Isactiver:
                bank.SetActive(bits);
                break;
            case Icactiver:
                bank.ClearActive(bits);
                break;
            case Ipriorityr:
                int first = (int)(offset % 32);
                for (int i = 0; i < size; i++)
                {
                    bank.Priorities[first + i] = (byte)((byte)(value >> (i * 8)) & PriorityMask);
                }

                break;
            default:
                int shift = (int)((offset & 4) * 4);
                uint edges = 0;
                for (int i = 0; i < 16; i++)
                {
                    edges |= ((bits >> ((i * 2) + 1)) & 1) << i;
                }

                bank.EdgeTriggered = (bank.EdgeTriggered & ~(0xFFFFU << shift)) | (edges << shift);
                break;
        }
    }

    /// <summary>
    /// GICR_TYPER: the affinity (63..32: Aff0 is the vCPU's number), the processor number (23..8), and Last (bit 4).
    /// No LPIs of any kind.
    /// </summary>
    private readonly ulong RedistributorTyperOf(int frame) =>
        ((ulong)frame << 32) | ((ulong)frame << 8) | (frame == count - 1 ? 1UL << 4 : 0);

    /// <summary>
    /// Shared interrupts made active by a register write are for the vCPU to end that they are routed to.
    /// </summary>
    private void HoldActive(int writer, int index)
    {
        uint held = 0;
        for (int vcpu = 0; vcpu < count; vcpu++)
        {
            held |= vcpus[vcpu].Held[index];
        }

        uint orphans = shared[index].Active & ~held;
        for (int vcpu = 0; vcpu < count; vcpu++)
        {
            uint adopted = orphans & vcpus[vcpu].Routed[index];
            vcpus[vcpu].Held[index] |= adopted;
            orphans &= ~adopted;
        }

        vcpus[writer].Held[index] |= orphans;
    }

    private void ReleaseInactive(int index)
    {
        for (int vcpu = 0; vcpu < count; vcpu++)
        {
            vcpus[vcpu].Held[index] &= shared[index].Active | shared[index].Loaded;
        }
    }
}
