using System.Runtime.CompilerServices;

namespace Quietus.Stage2;

/// <summary>What sets the three translation granules of VMSAv8-64 apart (DDI 0487 D8.2).</summary>
public interface IGranule
{
    /// <summary>log2 of the bytes of a page and of a table.</summary>
    static abstract int Shift { get; }

    /// <summary>The highest level with blocks.</summary>
    static abstract int TopLeafLevel { get; }

    /// <summary>log2 of the entries of a contiguous run of a level that has leaves.</summary>
    static abstract int ContiguousShift(int level);

    /// <summary>The count in a table descriptor; drawn at <see cref="Arm{TGranule}"/>.</summary>
    static abstract int TableCount(ulong entry);

    static abstract ulong WithTableCount(ulong entry, int count);

    static abstract ulong CountingOneMore(ulong entry);
}

/// <summary>Tables of 512 entries; pages of 4K at level 3, blocks of 2M at 2 and 1G at 1; runs of 16.</summary>
public readonly struct Granule4K : IGranule
{
    private const int CountShift = 2;
    private const ulong CountMask = 0x3FF;

    public static int Shift => 12;

    public static int TopLeafLevel => 1;

    public static int ContiguousShift(int level) => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int TableCount(ulong entry) => (int)(uint)(entry >> CountShift) & (int)CountMask;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WithTableCount(ulong entry, int count) =>
        (entry & ~(CountMask << CountShift)) | ((ulong)(uint)count << CountShift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong CountingOneMore(ulong entry) => entry + (1UL << CountShift);
}

/// <summary>Tables of 2048 entries; pages of 16K at level 3, blocks of 32M at 2; runs of 128 or 32.</summary>
public readonly struct Granule16K : IGranule
{
    public static int Shift => 14;

    public static int TopLeafLevel => 2;

    public static int ContiguousShift(int level) => level == Stage2Geometry.LastLevel ? 7 : 5;

    public static int TableCount(ulong entry) => SplitCount.Read(entry);

    public static ulong WithTableCount(ulong entry, int count) => SplitCount.Write(entry, count);

    public static ulong CountingOneMore(ulong entry) => SplitCount.Write(entry, SplitCount.Read(entry) + 1);
}

/// <summary>Tables of 8192 entries; pages of 64K at level 3, blocks of 512M at 2; runs of 32.</summary>
public readonly struct Granule64K : IGranule
{
    public static int Shift => 16;

    public static int TopLeafLevel => 2;

    public static int ContiguousShift(int level) => 5;

    public static int TableCount(ulong entry) => SplitCount.Read(entry);

    public static ulong WithTableCount(ulong entry, int count) => SplitCount.Write(entry, count);

    public static ulong CountingOneMore(ulong entry) => SplitCount.Write(entry, SplitCount.Read(entry) + 1);
}

/// <summary>A count of 14 bits in bits 58:51 and 7:2 of a table descriptor.</summary>
internal static class SplitCount
{
    private const int LowShift = 51;
    private const int LowBits = 8;
    private const ulong LowMask = (1UL << LowBits) - 1;
    private const int HighShift = 2;
    private const ulong HighMask = (1UL << 6) - 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Read(ulong entry) =>
        (int)((entry >> LowShift) & LowMask) | ((int)((entry >> HighShift) & HighMask) << LowBits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Write(ulong entry, int count) =>
        (entry & ~((LowMask << LowShift) | (HighMask << HighShift)))
        | (((ulong)(uint)count & LowMask) << LowShift)
        | ((ulong)((uint)count >> LowBits) << HighShift);
}
