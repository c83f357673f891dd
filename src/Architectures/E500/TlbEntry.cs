namespace Quietus.Architectures;

/// <summary>
/// A TLB entry of e500mc as its MMU assist registers hold it (EREF and e500mc Core Reference Manual, MMU assist
/// registers): software writes it by tlbwe, no table is walked. Bits are numbered from the least significant.
/// <code>
/// MAS1  31 30  29 28 27    16 15 13 12 11    7 6   0      MAS2  63                12 11 7 6  5 4 3 2 1 0
///      ┌─┬─────┬────┬────────┬─────┬──┬───────┬─────┐          ┌────────────────────┬────┬───┬─┬─┬─┬─┬─┬─┐
///      │V│IPROT│ 0  │  TID   │  0  │TS│ TSIZE │  0  │          │        EPN         │ 0  │X0…│0│W│I│M│G│E│
///      └─┴─────┴────┴────────┴─────┴──┴───────┴─────┘          └────────────────────┴────┴───┴─┴─┴─┴─┴─┴─┘
/// MAS7_MAS3  35                 12 11 10 9    6  5  4  3  2  1  0      MAS8  31 30 29   6 5    0
///           ┌────────────────────┬─────┬──────┬──┬──┬──┬──┬──┬──┐           ┌───┬─────┬─────┬──────┐
///           │        RPN         │  0  │U0-U3 │UX│SX│UW│SW│UR│SR│           │TGS│ VF  │  0  │TLPID │
///           └────────────────────┴─────┴──────┴──┴──┴──┴──┴──┴──┘           └───┴─────┴─────┴──────┘
/// </code>
/// An entry maps 2^(TSIZE + 10) bytes: 4K is 2, 1M is 10.
/// </summary>
internal readonly record struct TlbEntry(uint Mas1, ulong Mas2, ulong Mas7Mas3, uint Mas8)
{
    internal const uint Valid = 1U << 31;
    internal const uint Protected = 1U << 30;
    internal const int PidShift = 16;
    internal const uint PidMask = 0xFFF;
    internal const uint Space = 1U << 12;
    internal const int SizeShift = 7;
    internal const uint SizeMask = 0x1F;
    internal const ulong Coherent = 1UL << 2;
    internal const ulong Inhibited = 1UL << 3;
    internal const ulong Guarded = 1UL << 1;
    internal const ulong AddressMask = ~0xFFFUL;
    internal const ulong RpnMask = (1UL << 36) - (1UL << 12);
    internal const ulong UserExecute = 1UL << 5;
    internal const ulong SupervisorExecute = 1UL << 4;
    internal const ulong UserWrite = 1UL << 3;
    internal const ulong SupervisorWrite = 1UL << 2;
    internal const ulong UserRead = 1UL << 1;
    internal const ulong SupervisorRead = 1UL << 0;
    internal const uint GuestSpace = 1U << 31;
    internal const uint Faults = 1U << 30;
    internal const uint LpidMask = 0x3F;

    internal bool IsValid => (Mas1 & Valid) != 0;

    internal uint Pid => (Mas1 >> PidShift) & PidMask;

    internal uint Size => (Mas1 >> SizeShift) & SizeMask;

    internal ulong Bytes => 1UL << (int)(Size + 10);

    internal ulong Address => Mas2 & AddressMask;

    internal ulong Frame => Mas7Mas3 & RpnMask;

    internal uint Lpid => Mas8 & LpidMask;

    internal bool IsGuests => (Mas8 & GuestSpace) != 0;

    internal bool IsWritable => (Mas7Mas3 & (UserWrite | SupervisorWrite)) != 0;

    /// <summary>A guest's entry of ordinary memory.</summary>
    internal static TlbEntry For(ulong address, ulong frame, uint size, uint pid, uint lpid, bool isWritable) => new(
        Valid | (pid << PidShift) | (size << SizeShift),
        (address & AddressMask) | Coherent,
        (frame & RpnMask) | UserRead | SupervisorRead | UserExecute | SupervisorExecute
            | (isWritable ? UserWrite | SupervisorWrite : 0),
        GuestSpace | lpid);

    internal TlbEntry Invalidated() => this with { Mas1 = Mas1 & ~Valid };

    internal TlbEntry WithoutWrite() => this with { Mas7Mas3 = Mas7Mas3 & ~(UserWrite | SupervisorWrite) };
}
