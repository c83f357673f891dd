namespace Quietus.Simulator;

/// <summary>
/// An entry of a process's page table:
/// <code>
///   63      12 11   10 9     8 7  5     4          3        2       1        0
/// ┌───────────┬───────┬───────┬────┬────────┬─────────────┬──────┬────────┬─────────┐
/// │  address  │   0   │ level │ 0  │ OfFile │ Transparent │ Swap │ Write  │ Present │
/// └───────────┴───────┴───────┴────┴────────┴─────────────┴──────┴────────┴─────────┘
/// </code>
/// A swapped page is not present, and has no address. All zero: never touched.
/// </summary>
internal readonly record struct HostPage(ulong Bits)
{
    private const ulong PresentBit = 1;
    private const ulong WriteBit = 2;
    private const ulong SwapBit = 4;
    private const ulong TransparentBit = 8;
    private const ulong FileBit = 16;
    private const int LevelShift = 8;
    private const ulong AddressMask = ~0xFFFUL;

    internal HostPage(ulong address, int level, bool isWritable)
        : this(address | ((ulong)(uint)level << LevelShift) | (isWritable ? WriteBit : 0) | PresentBit)
    {
    }

    internal static HostPage Swapped => new(SwapBit);

    internal bool IsPresent => (Bits & PresentBit) != 0;

    internal bool IsWritable => (Bits & WriteBit) != 0;

    internal bool IsSwapped => (Bits & SwapBit) != 0;

    /// <summary>A huge page that the host found for memory which did not ask for one.</summary>
    internal bool IsTransparent => (Bits & TransparentBit) != 0;

    /// <summary>A page of a file in memory.</summary>
    internal bool IsOfFile => (Bits & FileBit) != 0;

    /// <summary>1, 2 or 3: of a 1 GB page each 2 MB part has an entry of its own.</summary>
    internal int Level => (int)(Bits >> LevelShift) & 3;

    internal ulong Address => Bits & AddressMask;

    internal HostPage AsTransparent() => new(Bits | TransparentBit);

    internal HostPage AsOfFile() => new(Bits | FileBit);

    internal HostPage WithoutWrite() => new(Bits & ~WriteBit);

    internal HostPage WithWrite() => new(Bits | WriteBit);
}
