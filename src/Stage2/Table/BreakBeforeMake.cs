namespace Quietus.Stage2;

/// <summary>Why a valid descriptor may not be replaced by another in one write.</summary>
public enum BreakReason : byte
{
    /// <summary>It may.</summary>
    None = 0,

    /// <summary>The output address changes, of a leaf or of the next-level table.</summary>
    OutputAddress,

    /// <summary>The memory type or its cacheability changes.</summary>
    MemoryType,

    /// <summary>The shareability changes.</summary>
    Shareability,

    /// <summary>A table becomes a block or a block a table.</summary>
    Size,

    /// <summary>The contiguous bit changes.</summary>
    Contiguous,
}

/// <summary>
/// The architecture's rule of break-before-make, as a pure function (DDI 0487 D8, "Using break-before-make when
/// updating translation table entries"): which changes of a live descriptor must go through an invalid one and a
/// completed TLB invalidation.
/// </summary>
public static class BreakBeforeMake
{
    /// <summary>
    /// Whether <paramref name="current"/> must be broken, and the TLB invalidated, before <paramref name="next"/> is
    /// written, and why. Both are descriptors of <paramref name="level"/>.
    /// </summary>
    public static BreakReason IsRequired<TFormat>(ulong current, ulong next, int level, bool forcedWriteBack,
        BreakBeforeMakeSupport support)
        where TFormat : struct, IDescriptorFormat
    {
        // Invalid descriptors are not cached, and nothing that is made invalid needs breaking first.
        if (!TFormat.IsValid(current) || !TFormat.IsValid(next))
        {
            return BreakReason.None;
        }

        bool sizeMayChange = support == BreakBeforeMakeSupport.Level2WithoutAbort;
        bool isTable = TFormat.IsTable(current, level);
        if (isTable != TFormat.IsTable(next, level))
        {
            return sizeMayChange ? BreakReason.None : BreakReason.Size;
        }

        if (isTable)
        {
            return TFormat.TableAddress(current).Value == TFormat.TableAddress(next).Value
                ? BreakReason.None
                : BreakReason.OutputAddress;
        }

        if (TFormat.OutputAddress(current, level).Value != TFormat.OutputAddress(next, level).Value)
        {
            return BreakReason.OutputAddress;
        }

        LeafAttributes had = TFormat.Attributes(current, forcedWriteBack);
        LeafAttributes gets = TFormat.Attributes(next, forcedWriteBack);
        if (had.Type != gets.Type)
        {
            return BreakReason.MemoryType;
        }

        if (had.Shareability != gets.Shareability)
        {
            return BreakReason.Shareability;
        }

        return had.Contiguous != gets.Contiguous && !sizeMayChange ? BreakReason.Contiguous : BreakReason.None;
    }
}
