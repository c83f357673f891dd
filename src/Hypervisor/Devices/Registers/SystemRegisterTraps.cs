using System.Runtime.CompilerServices;
using Quietus.Wire;

namespace Quietus.Hypervisor.Devices;

/// <summary>A trapped MRS or MSR (ESR_EL2 with exception class 0x18).</summary>
/// <remarks>
/// <code>
///  ISS:  21..20 | 19..17 | 16..14 | 13..10 | 9..5 | 4..1 | 0
///        Op0    | Op2    | Op1    | CRn    | Rt   | CRm  | 1 = MRS
/// </code>
/// </remarks>
public readonly struct SystemRegisterAccess
{
    private readonly uint syndrome;

    private SystemRegisterAccess(uint syndrome) => this.syndrome = syndrome;

    /// <summary>True for MRS, which reads the register.</summary>
    public bool IsRead => (syndrome & 1) != 0;

    /// <summary>The general register: 0 to 30, or 31 for XZR.</summary>
    public uint GeneralRegister => (syndrome >> 5) & 31;

    /// <summary>The register's number.</summary>
    public uint Register => SystemRegister.Number(
        (syndrome >> 20) & 3, (syndrome >> 14) & 7, (syndrome >> 10) & 15, (syndrome >> 1) & 15, (syndrome >> 17) & 7);

    /// <summary>Takes a syndrome apart.</summary>
    /// <param name="syndrome">ESR_EL2; only ISS is looked at.</param>
    public static SystemRegisterAccess Decode(ulong syndrome) => new((uint)syndrome & 0x1FF_FFFF);
}

/// <summary>Numbers of system registers: Op0, Op1, CRn, CRm and Op2 in 16 bits.</summary>
public static class SystemRegister
{
    /// <summary>A register's number: Op0 (2 bits), Op1 (3), CRn (4), CRm (4), Op2 (3).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Number(uint op0, uint op1, uint crn, uint crm, uint op2) =>
        (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

/// <summary>What becomes of a trapped access.</summary>
public enum SystemRegisterOutcome
{
    /// <summary>
    /// The access is undefined: the core injects that exception and does not step over the instruction.
    /// </summary>
    Undefined,

    /// <summary>The read gives a value.</summary>
    Value,

    /// <summary>The write has no effect.</summary>
    Ignored,

    /// <summary>The write sends an SGI to a group that the register's name does not limit (ICC_SGI1R_EL1).</summary>
    SendSgi,

    /// <summary>The write sends an SGI of group 0 (ICC_SGI0R_EL1, ICC_ASGI1R_EL1).</summary>
    SendGroup0Sgi,

    /// <summary>
    /// The write has changed the vCPU's <see cref="DebugRegisters"/>: the core loads what they have for it of
    /// MDSCR_EL1, and of the break- or watchpoint register if the access named one.
    /// </summary>
    LoadDebug,
}

/// <summary>
/// The system registers that are emulated, as an allow-list: ID registers, self-hosted debug, and SGIs. Everything else
/// that traps is undefined, as if it did not exist: PMU, statistical profiling, trace, AMU, pointer authentication
/// keys, SVE and SME controls, LORegions, RAS, implementation defined registers.
/// </summary>
public static class SystemRegisterTraps
{
    // Op0 = 3: the rest of the system.
    private const uint RevidrEl1 = (3 << 14) | (0 << 11) | (0 << 7) | (0 << 3) | 6;
    private const uint ActlrEl1 = (3 << 14) | (0 << 11) | (1 << 7) | (0 << 3) | 1;
    private const uint AidrEl1 = (3 << 14) | (1 << 11) | (0 << 7) | (0 << 3) | 7;
    private const uint IccSgi1rEl1 = (3 << 14) | (0 << 11) | (12 << 7) | (11 << 3) | 5;
    private const uint IccAsgi1rEl1 = (3 << 14) | (0 << 11) | (12 << 7) | (11 << 3) | 6;
    private const uint IccSgi0rEl1 = (3 << 14) | (0 << 11) | (12 << 7) | (11 << 3) | 7;
    private const uint IccSreEl1 = (3 << 14) | (0 << 11) | (12 << 7) | (12 << 3) | 5;

    // Op0 = 2: debug.
    private const uint OsdtrrxEl1 = (2 << 14) | (0 << 11) | (0 << 7) | (0 << 3) | 2;
    private const uint MdccintEl1 = (2 << 14) | (0 << 11) | (0 << 7) | (2 << 3) | 0;
    private const uint MdscrEl1 = (2 << 14) | (0 << 11) | (0 << 7) | (2 << 3) | 2;
    private const uint OsdtrtxEl1 = (2 << 14) | (0 << 11) | (0 << 7) | (3 << 3) | 2;
    private const uint OseccrEl1 = (2 << 14) | (0 << 11) | (0 << 7) | (6 << 3) | 2;
    private const uint MdrarEl1 = (2 << 14) | (0 << 11) | (1 << 7) | (0 << 3) | 0;
    private const uint OslarEl1 = (2 << 14) | (0 << 11) | (1 << 7) | (0 << 3) | 4;
    private const uint OslsrEl1 = (2 << 14) | (0 << 11) | (1 << 7) | (1 << 3) | 4;
    private const uint OsdlrEl1 = (2 << 14) | (0 << 11) | (1 << 7) | (3 << 3) | 4;
    private const uint DbgprcrEl1 = (2 << 14) | (0 << 11) | (1 << 7) | (4 << 3) | 4;
    private const uint DbgclaimsetEl1 = (2 << 14) | (0 << 11) | (7 << 7) | (8 << 3) | 6;
    private const uint DbgclaimclrEl1 = (2 << 14) | (0 << 11) | (7 << 7) | (9 << 3) | 6;
    private const uint DbgauthstatusEl1 = (2 << 14) | (0 << 11) | (7 << 7) | (14 << 3) | 6;
    private const uint MdccsrEl0 = (2 << 14) | (3 << 11) | (0 << 7) | (1 << 3) | 0;
    private const uint DbgdtrEl0 = (2 << 14) | (3 << 11) | (0 << 7) | (4 << 3) | 0;
    private const uint DbgdtrrxEl0 = (2 << 14) | (3 << 11) | (0 << 7) | (5 << 3) | 0;

    /// <summary>Break- and watchpoint registers: Op0 = 2, Op1 = 0, CRn = 0, CRm = their number, Op2 = 4 to 7.</summary>
    private const uint DebugPoints = 2 << 14;

    /// <summary>
    /// DBGAUTHSTATUS_EL1.NSNID and NSID: external debug exists and is not allowed. 0 would say that the PE is secure.
    /// </summary>
    private const ulong ExternalDebugDisabled = 0xA;

    /// <summary>ICC_SRE_EL1: system registers are in use, and legacy bypass is off. It cannot be otherwise.</summary>
    private const ulong SystemRegistersInUse = 7;

    /// <summary>Decides what becomes of an access.</summary>
    /// <param name="access">The access.</param>
    /// <param name="ids">The guest's ID registers.</param>
    /// <param name="debug">The vCPU's debug registers, which a write may change.</param>
    /// <param name="value">What is written, or what a read gives; 0 otherwise.</param>
    public static SystemRegisterOutcome Handle(
        SystemRegisterAccess access, in GuestIdRegisters ids, ref DebugRegisters debug, ref ulong value)
    {
        uint register = access.Register;
        if (!access.IsRead)
        {
            SystemRegisterOutcome outcome = Write(register, in ids, ref debug, value);
            value = 0;
            return outcome;
        }

        return Read(register, in ids, in debug, out value);
    }

    /// <summary>Whether a register is one of a break- or watchpoint that the guest has, and which.</summary>
    public static bool IsDebugPoint(uint register, in GuestIdRegisters ids, out DebugPointKind kind, out int index)
    {
        kind = (DebugPointKind)(register & 3);
        index = (int)(register >> 3) & 0xF;
        int count = kind is DebugPointKind.BreakpointValue or DebugPointKind.BreakpointControl
            ? ids.Breakpoints
            : ids.Watchpoints;
        return (register & ~0x7FU) == DebugPoints && (register & 4) != 0 && index < count;
    }

    private static SystemRegisterOutcome Read(
        uint register, in GuestIdRegisters ids, in DebugRegisters debug, out ulong value)
    {
        value = 0;

        // ID registers: Op0 = 3, Op1 = 0, CRn = 0, CRm = 1 to 7.
        if (register >> 7 == 3 << 7 && ((register >> 3) & 0xF) is >= 1 and <= 7)
        {
            value = ids.Read((register >> 3) & 0xF, register & 7);
            return SystemRegisterOutcome.Value;
        }

        if (IsDebugPoint(register, in ids, out DebugPointKind kind, out int index))
        {
            value = debug.Point(kind, index);
            return SystemRegisterOutcome.Value;
        }

        switch (register)
        {
            case MdscrEl1:
                value = debug.Control;
                return SystemRegisterOutcome.Value;
            case OslsrEl1:
                value = debug.LockStatus;
                return SystemRegisterOutcome.Value;
            case DbgclaimsetEl1:
                value = debug.ClaimSet;
                return SystemRegisterOutcome.Value;
            case DbgclaimclrEl1:
                value = debug.ClaimClear;
                return SystemRegisterOutcome.Value;
            case DbgauthstatusEl1:
                value = ExternalDebugDisabled;
                return SystemRegisterOutcome.Value;
            case IccSreEl1:
                value = SystemRegistersInUse;
                return SystemRegisterOutcome.Value;
            case RevidrEl1:
                value = ids.Revision;
                return SystemRegisterOutcome.Value;
            case AidrEl1:
                value = ids.Auxiliary;
                return SystemRegisterOutcome.Value;
            case MdrarEl1 or MdccsrEl0 or DbgdtrrxEl0:
                return SystemRegisterOutcome.Value;
            default:
                return IsInert(register) ? SystemRegisterOutcome.Value : SystemRegisterOutcome.Undefined;
        }
    }

    private static SystemRegisterOutcome Write(
        uint register, in GuestIdRegisters ids, ref DebugRegisters debug, ulong value)
    {
        if (IsDebugPoint(register, in ids, out DebugPointKind kind, out int index))
        {
            debug.SetPoint(kind, index, value);
            return SystemRegisterOutcome.LoadDebug;
        }

        switch (register)
        {
            case MdscrEl1:
                debug.Control = value;
                return SystemRegisterOutcome.LoadDebug;
            case OslarEl1:
                debug.WriteLock(value);
                return SystemRegisterOutcome.LoadDebug;
            case DbgclaimsetEl1:
                debug.ClaimSet = value;
                return SystemRegisterOutcome.Ignored;
            case DbgclaimclrEl1:
                debug.ClaimClear = value;
                return SystemRegisterOutcome.Ignored;
            case IccSgi1rEl1:
                return SystemRegisterOutcome.SendSgi;
            case IccSgi0rEl1 or IccAsgi1rEl1:
                return SystemRegisterOutcome.SendGroup0Sgi;
            case IccSreEl1 or DbgdtrrxEl0:
                return SystemRegisterOutcome.Ignored;
            default:
                return IsInert(register) ? SystemRegisterOutcome.Ignored : SystemRegisterOutcome.Undefined;
        }
    }

    /// <summary>
    /// Registers that can be read and written and do nothing: read as zero, write ignored. They are the channel to an
    /// external debugger, which a guest has not, and the double lock, which its ID registers deny. DBGDTRRX_EL0 and
    /// DBGDTRTX_EL0 are one number.
    /// </summary>
    private static bool IsInert(uint register) => register is ActlrEl1 or OsdtrrxEl1 or MdccintEl1 or OsdtrtxEl1
        or OseccrEl1 or OsdlrEl1 or DbgprcrEl1 or DbgdtrEl0;
}
