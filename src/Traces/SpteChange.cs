namespace Quietus.Traces;

/// <summary>
/// What KVM/x86 tells of an entry of its second-level tables: "gfn … level … old_spte … new_spte …", in hexadecimal
/// except the level (kvm_tdp_mmu_spte_changed, Linux 5.13 and later with tdp_mmu). A leaf of 4 KB, 2 MB or 1 GB is an
/// operation that the Arm engine can do as well.
/// </summary>
internal readonly struct SpteChange
{
    /// <summary>
    /// Linux's own mark of an entry that leads somewhere, on Intel and AMD alike (SPTE_MMU_PRESENT_MASK).
    /// </summary>
    private const ulong Present = 1 << 11;

    /// <summary>A block, above the level of pages.</summary>
    private const ulong Large = 1 << 7;
    private const ulong Writable = 1 << 1;

    /// <summary>EPT's X; NPT's U, which KVM sets.</summary>
    private const ulong Executable = 1 << 2;

    /// <summary>NPT's NX.</summary>
    private const ulong ExecuteNever = 1UL << 63;
    private const ulong Address = 0x000f_ffff_ffff_f000;
    private const int PageBits = 12;
    private const int LevelBits = 9;
    private const ulong LargestLevel = 3;

    private readonly ulong _old;
    private readonly ulong _new;
    private readonly int _level;

    private SpteChange(ulong page, int level, ulong old, ulong now)
    {
        (_old, _new, _level) = (old, now, level);
        Start = page << PageBits;
    }

    /// <summary>The guest's address.</summary>
    public ulong Start { get; }

    /// <summary>What the entry maps.</summary>
    public ulong Bytes => 1UL << (PageBits + (LevelBits * (_level - 1)));

    /// <summary>Where it leads now; 0 when it leads nowhere.</summary>
    public ulong Output => IsMap || Kind == TraceOperationKind.Relax ? _new & Address & ~(Bytes - 1) : 0;

    /// <summary>What it permits now.</summary>
    public TraceProtection Protection => !IsLeaf(_new)
        ? TraceProtection.None
        : TraceProtection.Read
            | ((_new & Writable) != 0 ? TraceProtection.Write : 0)
            | ((_new & Executable) != 0 && (_new & ExecuteNever) == 0 ? TraceProtection.Execute : 0);

    /// <summary>Whether a leaf comes.</summary>
    public bool IsMap => Kind == TraceOperationKind.Map;

    /// <summary>What happened; null where it was a table, or a leaf lost permissions or got a dirty bit.</summary>
    public TraceOperationKind? Kind => (IsLeaf(_old), IsLeaf(_new)) switch
    {
        (false, true) => TraceOperationKind.Map,
        (true, false) when (_new & Present) == 0 => TraceOperationKind.UnmapByNotifier,
        (true, true) when (_old & Writable) < (_new & Writable) => TraceOperationKind.Relax,
        _ => null,
    };

    /// <summary>Reads the event; false where its arguments cannot be.</summary>
    public static bool TryRead(in TraceLine line, out SpteChange change)
    {
        change = default;
        if (!line.TryGetHex("gfn"u8, out ulong page) || !line.TryGetHex("level"u8, out ulong level)
            || !line.TryGetHex("old_spte"u8, out ulong old) || !line.TryGetHex("new_spte"u8, out ulong now)
            || level is 0 or > 5 || page > ulong.MaxValue >> PageBits)
        {
            return false;
        }

        change = new SpteChange(page, (int)level, old, now);
        return true;
    }

    private bool IsLeaf(ulong entry) =>
        (entry & Present) != 0 && _level <= (int)LargestLevel && (_level == 1 || (entry & Large) != 0);
}
