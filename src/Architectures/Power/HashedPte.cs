namespace Quietus.Architectures;

/// <summary>
/// A page table entry of the hashed page table, two doublewords (Power ISA 3.0B, book III, 5.7.9), stored big-endian;
/// bits are numbered from the least significant. KVM's own mark for an entry that the guest has put there while its
/// host page is gone, "absent", is a software bit.
/// <code>
/// First   63 52 51                          7  6  5   4 3  2  1  0
///        ┌─────┬────────────────────────────┬───┬────┬────┬──┬──┬──┐
///        │  0  │            AVA             │sw │abs.│ sw │L │H │V │
///        └─────┴────────────────────────────┴───┴────┴────┴──┴──┴──┘
/// Second  63 62 61  60 59 58 57 56        12 11  9 8 7 6  3  2  1 0
///        ┌───┬──┬─────┬─────┬──┬────────────┬─────┬─┬─┬────┬──┬────┐
///        │pp0│0 │ key │  B  │0 │ RPN        │ key │R│C│WIMG│N │ pp │
///        └───┴──┴─────┴─────┴──┴────────────┴─────┴─┴─┴────┴──┴────┘
/// </code>
/// </summary>
/// <param name="First">The doubleword that a search compares.</param>
/// <param name="Second">The doubleword with the address.</param>
internal readonly record struct HashedPte(ulong First, ulong Second)
{
    internal const ulong Valid = 1UL << 0;
    internal const ulong Secondary = 1UL << 1;
    internal const ulong Large = 1UL << 2;
    internal const ulong Absent = 1UL << 5;
    internal const int AvaShift = 7;
    internal const ulong AvaMask = (1UL << 52) - (1UL << AvaShift);
    internal const ulong RpnMask = (1UL << 57) - (1UL << 12);
    internal const ulong Reference = 1UL << 8;
    internal const ulong Change = 1UL << 7;
    internal const int WimgShift = 3;
    internal const ulong MemoryCoherent = 1UL << 4;
    internal const ulong CacheInhibited = 1UL << 5;
    internal const ulong Guarded = 1UL << 3;
    internal const ulong NoExecute = 1UL << 2;
    internal const int SegmentSizeShift = 58;

    /// <summary>PP with the storage key 0: read and write, or read only (5.7.12).</summary>
    internal const ulong ReadWrite = 2;

    internal const ulong ReadOnly = 3;

    /// <summary>Segments of 256 MB, and of 1 TB.</summary>
    internal const ulong Segment256M = 0;

    internal const ulong Segment1T = 1;

    /// <summary>The virtual address that an AVA leaves out lies in where the entry is found.</summary>
    internal const int AvaAddressShift = 23;

    internal bool IsValid => (First & Valid) != 0;

    internal bool IsAbsent => (First & Absent) != 0;

    internal bool IsSecondary => (First & Secondary) != 0;

    internal ulong Frame => Second & RpnMask;

    internal bool IsWritable => (Second & 3) == ReadWrite;

    internal ulong SegmentSize => (Second >> SegmentSizeShift) & 3;

    /// <summary>An entry of 4K for a virtual address in a 256 MB segment.</summary>
    internal static HashedPte For(ulong virtualAddress, ulong frame, bool isWritable, bool isSecondary) => new(
        (((virtualAddress >> AvaAddressShift) << AvaShift) & AvaMask) | (isSecondary ? Secondary : 0) | Valid,
        frame | (Segment256M << SegmentSizeShift) | MemoryCoherent | Reference
            | (isWritable ? Change | ReadWrite : ReadOnly));

    /// <summary>Whether the entry translates an address, as far as it says itself.</summary>
    internal bool Matches(ulong virtualAddress) =>
        (First & AvaMask) == (((virtualAddress >> AvaAddressShift) << AvaShift) & AvaMask);

    internal HashedPte AsAbsent() => new((First & ~Valid) | Absent, Second);

    internal HashedPte WithoutWrite() => new(First, (Second & ~3UL) | ReadOnly);
}
