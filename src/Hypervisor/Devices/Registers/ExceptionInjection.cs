namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A guest's state at an exit as far as an exception changes it. <see cref="ExceptionInjection"/> reads the first
/// group and writes the second; the caller moves the values from and to the registers named.
/// </summary>
public struct GuestExceptionState
{
    /// <summary>ELR_EL2: where the guest goes on; afterwards the vector.</summary>
    public ulong ProgramCounter;

    /// <summary>SPSR_EL2: in which state; afterwards EL1's.</summary>
    public ulong ProcessorState;

    /// <summary>SCTLR_EL1, read only.</summary>
    public ulong SystemControl;

    /// <summary>VBAR_EL1, read only.</summary>
    public ulong VectorBase;

    /// <summary>For ELR_EL1.</summary>
    public ulong LinkRegister;

    /// <summary>For SPSR_EL1.</summary>
    public ulong SavedProcessorState;

    /// <summary>For ESR_EL1.</summary>
    public ulong Syndrome;

    /// <summary>For FAR_EL1, when <see cref="HasFaultAddress"/>.</summary>
    public ulong FaultAddress;

    /// <summary>The exception sets FAR_EL1.</summary>
    public bool HasFaultAddress;
}

/// <summary>
/// Takes synchronous exceptions to a guest's EL1 on its behalf, as AArch64.TakeException does (DDI 0487 D1.3 "Exception
/// entry").
/// </summary>
public static class ExceptionInjection
{
    /// <summary>Fault status: synchronous external abort, not on a table walk. What a wild access deserves.</summary>
    public const uint ExternalAbort = 0x10;

    /// <summary>Of a stage-1 walk whose level is not known.</summary>
    public const int UnknownLevel = -1;

    private const ulong ClassUnknown = 0x00;
    private const ulong ClassInstructionAbort = 0x20;
    private const ulong ClassDataAbort = 0x24;

    /// <summary>Added to an abort's class when it comes from EL1 itself.</summary>
    private const ulong ClassSameLevel = 1;
    private const int ClassShift = 26;

    /// <summary>ESR_ELx.IL: the instruction has 32 bits.</summary>
    private const ulong InstructionLength = 1 << 25;

    // PSTATE as SPSR_EL2 holds it.
    private const ulong ModeMask = 0x1F;
    private const ulong ModeAArch32 = 0x10;
    private const ulong ModeEl0 = 0;
    private const ulong ModeEl1h = 5;
    private const ulong StackPointerOfLevel = 1;
    private const ulong Masks = 0x3C0;
    private const ulong ConditionFlags = 0xFUL << 28;
    private const ulong DataIndependentTiming = 1 << 24;
    private const ulong PrivilegedAccessNever = 1 << 22;
    private const ulong SpeculativeStoreBypass = 1 << 12;

    /// <summary>SCTLR_EL1.SPAN: exceptions leave PSTATE.PAN alone.</summary>
    private const ulong KeepPrivilegedAccessNever = 1 << 23;

    /// <summary>SCTLR_EL1.DSSBS: PSTATE.SSBS after an exception.</summary>
    private const ulong DefaultSpeculativeStoreBypass = 1UL << 44;

    // Vector offsets for synchronous exceptions (DDI 0487 D1.3.1.5).
    private const ulong VectorCurrentSp0 = 0x000;
    private const ulong VectorCurrentSpx = 0x200;
    private const ulong VectorLower64 = 0x400;
    private const ulong VectorLower32 = 0x600;

    /// <summary>Fault status: synchronous external abort on a table walk at a level, 0 to 3.</summary>
    public static uint ExternalAbortOnWalk(int level) => 0x14U | ((uint)level & 3);

    /// <summary>Fault status: address size fault at a level, 0 to 3.</summary>
    public static uint AddressSizeFault(int level) => (uint)level & 3;

    /// <summary>The instruction does not exist.</summary>
    public static void InjectUndefined(ref GuestExceptionState state, in GuestIdRegisters ids)
    {
        state.Syndrome = (ClassUnknown << ClassShift) | InstructionLength;
        state.HasFaultAddress = false;
        Enter(ref state, in ids);
    }

    /// <summary>
    /// What an abort deserves that hits no memory and no device: an external abort, on the guest's own table walk when
    /// it was one; beyond the guest's physical addresses, the address size fault of its stage 1 that a machine of that
    /// size would have taken.
    /// </summary>
    /// <param name="state">The guest's state.</param>
    /// <param name="ids">The guest's ID registers: which parts of PSTATE it has.</param>
    /// <param name="abort">The abort at EL2, from which the kind of access is passed on.</param>
    /// <param name="address">The virtual address (FAR_EL2).</param>
    /// <param name="level">
    /// The level of stage 1: of the entry that the walk could not read, or of the one that maps the address; or
    /// <see cref="UnknownLevel"/>. ESR_EL2 has Stage-2's level.
    /// </param>
    /// <param name="isBeyond">The address is beyond what ID_AA64MMFR0_EL1.PARange says.</param>
    public static void InjectExternalAbort(
        ref GuestExceptionState state,
        in GuestIdRegisters ids,
        StageTwoAbort abort,
        ulong address,
        int level,
        bool isBeyond)
    {
        int known = level < 0 ? 0 : level;

        // A table's address is that of the entry above, or of TTBR, whose faults count as level 0's.
        bool isWalk = abort.IsStageOneWalk;
        uint status = isBeyond ? AddressSizeFault(isWalk && known > 0 ? known - 1 : known)
            : isWalk ? ExternalAbortOnWalk(known)
            : ExternalAbort;
        ulong sameLevel = FromEl0(state.ProcessorState) ? 0 : ClassSameLevel;
        ulong exceptionClass = abort.IsFetch ? ClassInstructionAbort : ClassDataAbort;

        // At EL1 an abort never describes the instruction: ISV and all that hangs on it are zero, and IL is one.
        state.Syndrome = ((exceptionClass | sameLevel) << ClassShift) | InstructionLength | abort.KindOfAccess | status;
        state.FaultAddress = address;
        state.HasFaultAddress = true;
        Enter(ref state, in ids);
    }

    /// <summary>EL1 is always AArch64 (HCR_EL2.RW), so that AArch32 is EL0.</summary>
    private static bool FromEl0(ulong processorState) =>
        (processorState & ModeAArch32) != 0 || (processorState & ModeMask) == ModeEl0;

    private static void Enter(ref GuestExceptionState state, in GuestIdRegisters ids)
    {
        ulong old = state.ProcessorState;
        bool from32 = (old & ModeAArch32) != 0;
        ulong vector = from32 ? VectorLower32
            : FromEl0(old) ? VectorLower64
            : (old & StackPointerOfLevel) != 0 ? VectorCurrentSpx
            : VectorCurrentSp0;

        // Kept: NZCV and DIT. Cleared with the rest: UAO, SS, IL, BTYPE. Set: D, A, I, F.
        // SPSR_EL2 has them, and PAN, at the same places for both states.
        ulong entered = (old & (ConditionFlags | DataIndependentTiming)) | Masks | ModeEl1h;
        if (ids.HasPrivilegedAccessNever)
        {
            entered |= (state.SystemControl & KeepPrivilegedAccessNever) == 0
                ? PrivilegedAccessNever
                : old & PrivilegedAccessNever;
        }

        if (ids.HasSpeculativeStoreBypass && (state.SystemControl & DefaultSpeculativeStoreBypass) != 0)
        {
            entered |= SpeculativeStoreBypass;
        }

        state.LinkRegister = state.ProgramCounter;
        state.SavedProcessorState = old;
        state.ProcessorState = entered;
        state.ProgramCounter = (state.VectorBase & ~0x7FFUL) + vector;
    }
}
