using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A guest's data or instruction abort that came to EL2, taken apart (DDI 0487, ESR_EL2, ISS encodings for exceptions
/// from a Data Abort and from an Instruction Abort).
/// </summary>
/// <remarks>
/// <code>
///  31..26 | 24  | 23 22 | 21  | 20..16 | 15 | 10  | 9  | 8  | 7     | 6   | 5..2  | 1 0
///  EC     | ISV | SAS   | SSE | SRT    | SF | FnV | EA | CM | S1PTW | WnR | fault | level
/// </code>
/// ISV to SF say which register an emulated access loads or stores. They are valid for single general-purpose loads
/// and stores without write-back only, and never for instruction aborts.
/// </remarks>
public readonly struct StageTwoAbort
{
    private const ulong InstructionAbortFromLowerLevel = 0x20;
    private const ulong DataAbortFromLowerLevel = 0x24;
    private const ulong Translation = 1;
    private const ulong Permission = 3;

    private readonly ulong syndrome;

    private StageTwoAbort(ulong syndrome) => this.syndrome = syndrome;

    /// <summary>The abort comes from fetching an instruction.</summary>
    public bool IsFetch
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ((syndrome >> 26) & 0x3F) == InstructionAbortFromLowerLevel;
    }

    /// <summary>
    /// A fault of Stage-2's tables, not an external abort, a parity error, an alignment or a conflict abort.
    /// </summary>
    public bool IsStageTwoFault
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (syndrome & 0x30) == 0;
    }

    /// <summary>Nothing is mapped at the IPA.</summary>
    public bool IsTranslationFault
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Fault == Translation;
    }

    /// <summary>The entry does not allow the access.</summary>
    public bool IsPermissionFault
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Fault == Permission;
    }

    /// <summary>The level of the table walk at which the fault arose, 0 to 3.</summary>
    public int Level => (int)(syndrome & 3);

    /// <summary>The access was the guest's own table walk.</summary>
    public bool IsStageOneWalk
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (syndrome & (1 << 7)) != 0;
    }

    /// <summary>The access was a cache maintenance instruction, which faults like a write but writes nothing.</summary>
    public bool IsCacheMaintenance
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => !IsFetch && (syndrome & (1 << 8)) != 0;
    }

    /// <summary>
    /// The access needs the right to write. A table walk does so only when it fails for want of permission, for then
    /// the hardware wants to update the entry.
    /// </summary>
    public bool IsWrite
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IsStageOneWalk
            ? IsPermissionFault
            : !IsFetch && !IsCacheMaintenance && (syndrome & (1 << 6)) != 0;
    }

    /// <summary>A translation fault of the access itself: of no table walk.</summary>
    public bool IsOwnTranslationFault
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (syndrome & (0x3C | (1 << 7))) == 0x04;
    }

    /// <summary><see cref="IsWrite"/>, where the access is no table walk and no fetch.</summary>
    public bool IsOwnWrite
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (syndrome & ((1 << 6) | (1 << 8))) == 1 << 6;
    }

    /// <summary>
    /// WnR and CM, at their places: what the guest's own handler asks of an abort. Maintenance and address translation
    /// instructions have both. A fetch has neither.
    /// </summary>
    public ulong KindOfAccess => IsFetch ? 0 : syndrome & ((1 << 6) | (1 << 8));

    /// <summary>FAR_EL2 holds the address (FnV is clear).</summary>
    public bool HasFaultAddress => (syndrome & (1 << 10)) == 0;

    /// <summary>
    /// The syndrome tells the registers and the size, so that the access can be emulated. Without it, the guest used
    /// an instruction that no device supports (a pair, a vector, write-back, an atomic).
    /// </summary>
    public bool IsDecoded
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            const ulong ClassMask = 0x3FUL << 26;
            const ulong DataAbort = DataAbortFromLowerLevel << 26;
            const ulong Valid = 1 << 24;
            const ulong MaintenanceOrWalk = (1 << 8) | (1 << 7);
            return (syndrome & (ClassMask | Valid | MaintenanceOrWalk)) == (DataAbort | Valid);
        }
    }

    /// <summary>The access's size in bytes: 1, 2, 4 or 8. Valid when decoded.</summary>
    public int Size => 1 << (int)((syndrome >> 22) & 3);

    /// <summary>The general register that is loaded or stored: 0 to 30, or 31 for XZR. Valid when decoded.</summary>
    public uint GeneralRegister => (uint)(syndrome >> 16) & 31;

    /// <summary>
    /// The IPA is not in HPFAR_EL2: it is UNKNOWN for a permission fault of the access itself, so that the guest's
    /// stage 1 has to be asked (DDI 0487, HPFAR_EL2).
    /// </summary>
    public bool NeedsTranslation => IsPermissionFault && !IsStageOneWalk;

    private ulong Fault
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IsStageTwoFault ? (syndrome >> 2) & 3 : ulong.MaxValue;
    }

    /// <summary>Takes a syndrome apart.</summary>
    /// <param name="syndrome">ESR_EL2 with exception class 0x20 or 0x24.</param>
    public static StageTwoAbort Decode(ulong syndrome) => new(syndrome);

    /// <summary>
    /// The IPA of the access: HPFAR_EL2's page, and the offset from FAR_EL2. A table walk's own offset is not
    /// reported: its page only.
    /// </summary>
    /// <param name="hpfar">HPFAR_EL2: FIPA in bits 43..4 is IPA bits 51..12.</param>
    /// <param name="far">FAR_EL2.</param>
    public ulong IntermediateAddress(ulong hpfar, ulong far) =>
        ((hpfar & 0x0000_0FFF_FFFF_FFF0) << 8) | (IsStageOneWalk ? 0 : far & 0xFFF);

    /// <summary>What a load puts into its register: extended as the instruction says (SSE, SF).</summary>
    /// <param name="value">What the device gave; bits beyond the size do not count.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Extend(ulong value)
    {
        int unused = 64 - (Size * 8);
        bool signed = (syndrome & (1 << 21)) != 0;
        ulong extended = signed ? (ulong)((long)(value << unused) >> unused) : (value << unused) >> unused;
        bool wide = (syndrome & (1 << 15)) != 0;
        return wide ? extended : (uint)extended;
    }

    /// <summary>The bytes of an access in the other order, for a guest that accesses a device as big-endian.</summary>
    /// <param name="value">As many low bytes as the access has.</param>
    public ulong Swap(ulong value) => BinaryPrimitives.ReverseEndianness(value) >> (64 - (Size * 8));

    /// <summary>What a store gives to the device: the register's low bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Truncate(ulong register)
    {
        int unused = 64 - (Size * 8);
        return (register << unused) >> unused;
    }
}
