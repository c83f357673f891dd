using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Guests;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A VM's interrupt controller: a GICv3 (IHI 0069) with one security state, affinity routing always on, up to 8
/// vCPUs with 32 private interrupts each, and 64 shared interrupts (SPIs, INTID 32 to 95). The distributor and the
/// redistributors are emulated here (VirtualGic.Registers.cs); the CPU interface is the hardware's, fed through list
/// registers (VirtualGic.ListRegisters.cs).
/// </summary>
/// <remarks>
/// <para>A vCPU's core does this around each stay in the guest:</para>
/// <code>
///   enter:  if NeedsAttention(v):   lock; Fill(v, registers, out more); unlock; write ICH_LR&lt;n&gt;_EL2,
///                                   set ICH_HCR_EL2.UIE when more
///   exit:   if ListRegistersInUse(v) != 0: read ICH_LR&lt;n&gt;_EL2; lock; Sync(v, registers); unlock
///           if NeedsAttention(v):   mask = TakeReleasedHardware(v); ICC_DIR_EL1 for each
/// </code>
/// <para>An exit may skip Sync when it goes straight back and NeedsAttention is false; it must not before it emulates
/// an access to the GIC, or waits in WFI.</para>
/// <para>All members but <see cref="NeedsAttention"/>, <see cref="HasPending"/> and (on the vCPU's own core)
/// <see cref="ListRegistersInUse"/> need the VM's interrupt lock. Members that return a bit mask of vCPUs name those
/// that must be kicked out of the guest, or out of WFI, to see a change; the caller may be among them.</para>
/// <para>Per VM and core, besides this, the CPU interface must be reset: ICH_HCR_EL2, ICH_VMCR_EL2,
/// ICH_AP0R&lt;n&gt;_EL2, ICH_AP1R&lt;n&gt;_EL2, ICH_LR&lt;n&gt;_EL2; and at a vCPU's death each INTID of
/// <see cref="ActiveHardware"/> deactivated.</para>
/// <para>Zeroed memory is a GIC without vCPUs, whose registers are RAZ/WI, until <see cref="Reset"/>.</para>
/// </remarks>
public partial struct VirtualGic
{
    /// <summary>The INTIDs that exist: 0 to 95.</summary>
    public const uint InterruptCount = 96;

    private const int SharedBanks = 2;
    private const uint FirstShared = 32;

    /// <summary>INTID 0 to 15 of a vCPU's own bank.</summary>
    private const uint SoftwareGenerated = 0xFFFF;

    /// <summary>Summary: an interrupt waits that the vCPU could take.</summary>
    private const uint SummaryPending = 1;

    /// <summary>Summary: the list registers do not show the interrupts' state any more.</summary>
    private const uint SummaryStale = 2;

    /// <summary>Summary: a physical interrupt must be deactivated.</summary>
    private const uint SummaryReleased = 4;

    private VcpuInterfaces vcpus;
    private SharedInterrupts shared;
    private Routers routers;
    private int count;

    /// <summary>GICD_CTLR's EnableGrp0 (bit 0) and EnableGrp1 (bit 1).</summary>
    private uint enabledGroups;

    /// <summary>The number of vCPUs.</summary>
    public readonly int VcpuCount => count;

    /// <summary>
    /// Puts the GIC into its state after power-on, where the architecture leaves a choice as KVM's: SGIs are enabled,
    /// everything else is disabled and level-sensitive, all is of group 1 and of the highest priority, SPIs are routed
    /// to vCPU 0, and redistributors are awake.
    /// </summary>
    /// <param name="vcpuCount">1 to 8; what is beyond counts as the nearer of them.</param>
    /// <param name="hardwareLinked">
    /// PPIs (bits 16 to 31) that physical interrupts of the same INTID raise: normally the virtual timer's.
    /// </param>
    public void Reset(int vcpuCount, uint hardwareLinked)
    {
        this = default;
        count = vcpuCount < 1 ? 1
            : vcpuCount < GuestMemoryMap.MaximumVcpus ? vcpuCount
            : GuestMemoryMap.MaximumVcpus;
        for (int i = 0; i < count; i++)
        {
            ref VcpuInterface vcpu = ref vcpus[i];
            vcpu.Private.Group1 = uint.MaxValue;
            vcpu.Private.EdgeTriggered = SoftwareGenerated;
            vcpu.Private.Enabled = SoftwareGenerated;
            vcpu.Private.HardwareLinked = hardwareLinked & 0xFFFF_0000;
        }

        for (int i = 0; i < SharedBanks; i++)
        {
            shared[i].Group1 = uint.MaxValue;
        }

        for (int i = 0; i < SharedBanks * 32; i++)
        {
            Route(i);
        }
    }

    /// <summary>Whether Fill, or TakeReleasedHardware, has something to do for a vCPU. Needs no lock.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool NeedsAttention(int vcpu) => Volatile.Read(ref vcpus[vcpu].Summary) != 0;

    /// <summary>
    /// Whether an interrupt waits that the vCPU could take, whatever its masks: WFI must not wait then. Right only
    /// after Sync. Needs no lock, but must be asked after the vCPU has become kickable.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool HasPending(int vcpu) => (Volatile.Read(ref vcpus[vcpu].Summary) & SummaryPending) != 0;

    /// <summary>How many list registers hold something since the last Fill, 0 after Sync.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int ListRegistersInUse(int vcpu) => vcpus[vcpu].Used;

    /// <summary>Moves the line of a shared interrupt (32 to 95; others do nothing).</summary>
    public uint SetSharedLine(uint interrupt, bool asserted)
    {
        uint index = interrupt - FirstShared;
        if (index >= SharedBanks * 32)
        {
            return 0;
        }

        uint bit = 1U << (int)(index % 32);
        ref InterruptBank bank = ref shared[(int)(index / 32)];
        if (((bank.Level & bit) != 0) == asserted)
        {
            return 0;
        }

        bank.SetLine(bit, asserted);
        return RefreshAll();
    }

    /// <summary>An edge of a shared interrupt that is edge-triggered; others do nothing.</summary>
    public uint Pulse(uint interrupt)
    {
        uint index = interrupt - FirstShared;
        if (index >= SharedBanks * 32)
        {
            return 0;
        }

        ref InterruptBank bank = ref shared[(int)(index / 32)];
        uint bit = (1U << (int)(index % 32)) & bank.EdgeTriggered;
        if (bit == 0)
        {
            return 0;
        }

        bank.SetPending(bit);
        return RefreshAll();
    }

    /// <summary>
    /// A linked physical interrupt has been acknowledged on the vCPU's core, with its priority dropped (ICC_EOIR1_EL1
    /// in EOImode 1) and left active. It becomes pending for the guest, whose deactivation deactivates the physical
    /// one.
    /// </summary>
    public uint RaiseHardware(int vcpu, uint interrupt)
    {
        if (!IsPeripheral(vcpu, interrupt))
        {
            return 0;
        }

        ref InterruptBank bank = ref vcpus[vcpu].Private;
        uint bit = (1U << (int)interrupt) & bank.HardwareLinked;
        bank.HardwareActive |= bit;
        bank.HardwareReleased &= ~bit;
        bank.SetPending(bit);
        return Refresh(vcpu);
    }

    /// <summary>
    /// The sources of linked interrupts are no longer asserted (the guest moved its timer on): pending interrupts that
    /// the guest has not acknowledged are withdrawn.
    /// </summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="interrupts">A bit for each of its private interrupts; others than linked ones do nothing.</param>
    public uint DropHardware(int vcpu, uint interrupts)
    {
        ref InterruptBank bank = ref vcpus[vcpu].Private;
        bank.ClearPending(interrupts & bank.HardwareLinked & bank.HardwareActive);
        return Refresh(vcpu);
    }

    /// <summary>
    /// The physical interrupts (as bits of their INTIDs) that must be deactivated on the vCPU's core because the
    /// virtual ones were withdrawn; they are forgotten by this call.
    /// </summary>
    public uint TakeReleasedHardware(int vcpu)
    {
        ref InterruptBank bank = ref vcpus[vcpu].Private;
        uint released = bank.HardwareReleased;
        if (released != 0)
        {
            bank.HardwareReleased = 0;
            Refresh(vcpu);
        }

        return released;
    }

    /// <summary>
    /// The physical interrupts that are active on the vCPU's core on the guest's behalf: to deactivate at its death.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint ActiveHardware(int vcpu)
    {
        ref InterruptBank bank = ref vcpus[vcpu].Private;
        return bank.HardwareActive | bank.HardwareReleased;
    }

    /// <summary>
    /// A write of ICC_SGI1R_EL1, ICC_ASGI1R_EL1 or ICC_SGI0R_EL1 (IHI 0069, ICC_SGI1R_EL1): makes an SGI pending.
    /// With one security state the latter two reach SGIs of group 0 only.
    /// </summary>
    /// <remarks>
    /// <code>
    ///  55..48 | 47..44 | 40  | 39..32 | 27..24 | 23..16 | 15..0
    ///  Aff3   | RS     | IRM | Aff2   | INTID  | Aff1   | target list (Aff0 = RS * 16 + bit)
    /// </code>
    /// </remarks>
    /// <param name="from">The vCPU that writes.</param>
    /// <param name="value">The value written.</param>
    /// <param name="anyGroup">True for ICC_SGI1R_EL1.</param>
    public uint SendSgi(int from, ulong value, bool anyGroup = true)
    {
        const ulong UpperAffinityAndRange = (0xFFUL << 48) | (0xFUL << 44) | (0xFFUL << 32) | (0xFFUL << 16);
        uint everyone = (1U << count) - 1;
        bool broadcast = (value & (1UL << 40)) != 0;
        uint wanted = broadcast ? everyone & ~(1U << from)
            : (value & UpperAffinityAndRange) == 0 ? (uint)value & 0xFFFF & everyone
            : 0;
        uint bit = 1U << ((int)(value >> 24) & 0xF);
        uint kick = 0;
        while (wanted != 0)
        {
            int target = BitOperations.TrailingZeroCount(wanted);
            wanted &= wanted - 1;
            ref InterruptBank bank = ref vcpus[target].Private;
            if (anyGroup || (bank.Group1 & bit) == 0)
            {
                bank.SetPending(bit);
                kick |= Refresh(target);
            }
        }

        return kick;
    }

    /// <summary>
    /// Bank 0 is the vCPU's own, 1 and 2 are shared. The reference lives as long as <paramref name="gic"/>.
    /// </summary>
    private static ref InterruptBank Bank(ref VirtualGic gic, int vcpu, int index)
    {
        if (index == 0)
        {
            return ref gic.vcpus[vcpu].Private;
        }

        return ref gic.shared[index - 1];
    }

    private readonly bool IsPeripheral(int vcpu, uint interrupt) =>
        (uint)vcpu < (uint)count && interrupt is >= 16 and < FirstShared;

    /// <summary>The interrupts of a bank that are pending and may be signalled to a vCPU, active or not.</summary>
    private uint Deliverable(int vcpu, int index)
    {
        ref VcpuInterface self = ref vcpus[vcpu];
        ref InterruptBank bank = ref Bank(ref this, vcpu, index);
        uint allowed = bank.Pending & bank.Enabled & GroupMask(ref bank);
        if (index == 0)
        {
            return allowed;
        }

        // What another vCPU holds stays there until it has ended there.
        uint elsewhere = (bank.Loaded | bank.Active) & ~self.Held[index - 1];
        return allowed & ~elsewhere & (self.Routed[index - 1] | bank.Active);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly uint GroupMask(ref InterruptBank bank) =>
        ((enabledGroups & 2) != 0 ? bank.Group1 : 0) | ((enabledGroups & 1) != 0 ? ~bank.Group1 : 0);

    private readonly uint HeldBy(int vcpu, int index) => index == 0 ? uint.MaxValue : vcpus[vcpu].Held[index - 1];

    private void Unhold(int vcpu, int index, uint bits)
    {
        if (index != 0)
        {
            vcpus[vcpu].Held[index - 1] &= ~bits;
        }
    }

    private uint RefreshAll()
    {
        uint kick = 0;
        for (int vcpu = 0; vcpu < count; vcpu++)
        {
            kick |= Refresh(vcpu);
        }

        return kick;
    }

    /// <summary>
    /// Works a vCPU's summary out afresh; its bit is in the result when there is something for it to do.
    /// </summary>
    private uint Refresh(int vcpu)
    {
        ref VcpuInterface self = ref vcpus[vcpu];
        uint summary = self.Private.HardwareReleased != 0 ? SummaryReleased : 0;
        for (int index = 0; index <= SharedBanks; index++)
        {
            ref InterruptBank bank = ref Bank(ref this, vcpu, index);
            if (bank.IsQuiet)
            {
                continue;
            }

            uint held = HeldBy(vcpu, index);
            uint deliverable = Deliverable(vcpu, index);
            uint loaded = bank.Loaded & held;
            if ((deliverable & ~bank.Active & ~loaded) != 0)
            {
                summary |= SummaryPending;
            }

            // Active but in no list register; loaded with a state that was changed since; or loaded as pending and
            // withdrawn since, by its line or by a register.
            uint stale = (bank.Active & held & ~loaded)
                | (bank.ChangedWhileLoaded & loaded)
                | (loaded & ~bank.Active & ~deliverable);
            summary |= stale != 0 ? SummaryStale : 0;
        }

        Volatile.Write(ref self.Summary, summary);
        return summary != 0 ? 1U << vcpu : 0;
    }

    /// <summary>Works out by GICD_IROUTER which vCPU a shared interrupt goes to.</summary>
    private void Route(int index)
    {
        ulong target = routers[index];
        uint bit = 1U << (index % 32);
        for (int vcpu = 0; vcpu < count; vcpu++)
        {
            ref uint routed = ref vcpus[vcpu].Routed[index / 32];
            routed = (ulong)vcpu == target ? routed | bit : routed & ~bit;
        }
    }

    private struct VcpuInterface
    {
        public InterruptBank Private;

        /// <summary>What waits for this vCPU; written under the lock, read without.</summary>
        public uint Summary;

        /// <summary>The list registers in use.</summary>
        public int Used;

        /// <summary>The INTID in each list register.</summary>
        public LoadedInterrupts LoadedInterrupts;

        /// <summary>The shared interrupts that are routed here.</summary>
        public SharedBits Routed;

        /// <summary>The shared interrupts that are active or loaded here.</summary>
        public SharedBits Held;
    }

    [InlineArray(GuestMemoryMap.MaximumVcpus)]
    private struct VcpuInterfaces
    {
        private VcpuInterface first;
    }

    [InlineArray(SharedBanks)]
    private struct SharedInterrupts
    {
        private InterruptBank first;
    }

    [InlineArray(SharedBanks)]
    private struct SharedBits
    {
        private uint first;
    }

    [InlineArray(SharedBanks * 32)]
    private struct Routers
    {
        private ulong first;
    }

    [InlineArray(ListRegister.Maximum)]
    private struct LoadedInterrupts
    {
        private byte first;
    }
}
