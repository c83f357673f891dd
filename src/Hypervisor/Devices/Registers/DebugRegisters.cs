using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A vCPU's registers of self-hosted debug (DDI 0487 D2), as its guest reads and writes them. Every access traps
/// (MDCR_EL2.TDA, TDOSA), so that the core holds what <see cref="ControlForCore"/> and <see cref="PointForCore"/> say
/// and nothing else: a guest that does not debug pays nothing, one that does about 200 instructions for each access.
/// </summary>
/// <remarks>
/// Untrapping at the first use was the alternative. It would hand the debug communications channel, which is an
/// external debugger's, to the guest on cores without FEAT_FGT, and the VMID to a context breakpoint.
/// Debug exceptions of a guest go to its EL1 (MDCR_EL2.TDE is 0), and none can be taken in EL2 (DDI 0487 D2.3).
/// </remarks>
public struct DebugRegisters
{
    /// <summary>The most of each kind that the architecture has.</summary>
    public const int MostPoints = 16;

    private const ulong SoftwareStep = 1 << 0;
    private const ulong TrapChannelAtEl0 = 1 << 12;
    private const ulong KernelDebug = 1 << 13;
    private const ulong MonitorDebug = 1 << 15;

    /// <summary>
    /// MDSCR_EL1's bits that a guest has: SS, TDCC, KDE, MDE. The others mirror an external debugger's EDSCR: zero.
    /// </summary>
    private const ulong ControlMask = SoftwareStep | TrapChannelAtEl0 | KernelDebug | MonitorDebug;

    /// <summary>DBGBCR: E, PMC, BAS, HMC, SSC, LBN, BT.</summary>
    private const ulong BreakpointMask = 0x00FF_E1E7;

    /// <summary>DBGWCR: E, PAC, LSC, BAS, HMC, SSC, LBN, WT, MASK.</summary>
    private const ulong WatchpointMask = 0x1F1F_FFFF;

    /// <summary>DBGBCR.BT[3]: it compares a VMID or CONTEXTIDR_EL2, which a machine without EL2 lacks.</summary>
    private const ulong ComparesEl2Context = 1 << 23;

    private const ulong Enable = 1;

    /// <summary>OSLSR_EL1: OSLM[1], the lock exists; OSLK, it is locked.</summary>
    private const ulong LockExists = 1 << 3;
    private const ulong LockIsLocked = 1 << 1;

    /// <summary>DBGCLAIMSET_EL1 reads as the eight tags that there are.</summary>
    private const ulong ClaimTags = 0xFF;

    private ulong _control;
    private ulong _claims;
    private ulong _set;
    private bool _isLocked;
    private Points _points;

    /// <summary>
    /// The points of which the core holds anything but zero: bit kind times 16, plus the number. An operating system
    /// that only zeroes them when it boots has none.
    /// </summary>
    public readonly ulong PointsSet => _set;

    /// <summary>
    /// MDSCR_EL1 for the core. While the OS lock is locked no debug exception but BRK's comes (DDI 0487 D2.3.1).
    /// </summary>
    public readonly ulong ControlForCore => _isLocked ? _control & TrapChannelAtEl0 : _control;

    /// <summary>OSLSR_EL1.</summary>
    public readonly ulong LockStatus => LockExists | (_isLocked ? LockIsLocked : 0);

    /// <summary>MDSCR_EL1.</summary>
    public ulong Control
    {
        readonly get => _control;
        set => _control = value & ControlMask;
    }

    /// <summary>DBGCLAIMSET_EL1: what it reads as, and which tags a write sets.</summary>
    public ulong ClaimSet
    {
        readonly get => ClaimTags;
        set => _claims |= value & ClaimTags;
    }

    /// <summary>DBGCLAIMCLR_EL1: the tags that are set, and which ones a write clears.</summary>
    public ulong ClaimClear
    {
        readonly get => _claims;
        set => _claims &= ~value;
    }

    /// <summary>Becomes a copy. A guest that does not debug has no points to copy.</summary>
    public void Inherit(in DebugRegisters other)
    {
        if ((_set | other._set) != 0)
        {
            this = other;
            return;
        }

        _control = other._control;
        _claims = other._claims;
        _isLocked = other._isLocked;
    }

    /// <summary>OSLAR_EL1.</summary>
    public void WriteLock(ulong value) => _isLocked = (value & 1) != 0;

    /// <summary>A break- or watchpoint register.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="index">Its number, below <see cref="MostPoints"/>.</param>
    public readonly ulong Point(DebugPointKind kind, int index) => _points[Place(kind, index)];

    /// <summary>Writes a break- or watchpoint register.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="index">Its number, below <see cref="MostPoints"/>.</param>
    /// <param name="value">What the guest writes; reserved bits are left out.</param>
    public void SetPoint(DebugPointKind kind, int index, ulong value)
    {
        _points[Place(kind, index)] = kind switch
        {
            DebugPointKind.BreakpointControl => value & BreakpointMask,
            DebugPointKind.WatchpointControl => value & WatchpointMask,
            DebugPointKind.WatchpointValue => value & ~3UL,
            _ => value, // an address, or all 32 bits of a context's number
        };
        ulong bit = 1UL << Place(kind, index);
        _set = PointForCore(kind, index) != 0 ? _set | bit : _set & ~bit;
    }

    /// <summary>What the core's register of that name shall hold.</summary>
    /// <param name="kind">Its kind.</param>
    /// <param name="index">Its number, below <see cref="MostPoints"/>.</param>
    public readonly ulong PointForCore(DebugPointKind kind, int index)
    {
        ulong value = _points[Place(kind, index)];
        bool isHidden = kind == DebugPointKind.BreakpointControl && (value & ComparesEl2Context) != 0;
        return isHidden ? value & ~Enable : value;
    }

    private static int Place(DebugPointKind kind, int index) => ((int)kind * MostPoints) + index;

    [InlineArray(4 * MostPoints)]
    private struct Points
    {
        private ulong _first;
    }
}

/// <summary>The four registers of a break- and a watchpoint, in the order of their Op2 (4 to 7).</summary>
public enum DebugPointKind
{
    /// <summary>DBGBVR&lt;n&gt;_EL1.</summary>
    BreakpointValue,

    /// <summary>DBGBCR&lt;n&gt;_EL1.</summary>
    BreakpointControl,

    /// <summary>DBGWVR&lt;n&gt;_EL1.</summary>
    WatchpointValue,

    /// <summary>DBGWCR&lt;n&gt;_EL1.</summary>
    WatchpointControl,
}
