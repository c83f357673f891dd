using System.Collections.Generic;
using System.Linq;

namespace Quietus.Simulator;

/// <summary>What a figure's key stands for, and which values make sense at all.</summary>
internal sealed record FigureKind(
    string Key, string Group, FigureUnit Unit, double Least, double Greatest, string Meaning)
{
    /// <summary>Whether a preset may leave it out: it is 0 there.</summary>
    internal bool IsOptional { get; init; }
}

/// <summary>
/// Every figure that a preset of an architecture has: a preset names each of them, and no other. Arm64's are those of
/// the Stage-2 engine; the other architectures share one table, in which a cost that a machine cannot have is 0.
/// </summary>
internal sealed class FigureTable
{
    /// <summary>No operation takes longer; and sums over the lines of terabytes stay within 63 bits.</summary>
    private const double Longest = 1e6;

    private const double LongestOfMany = 1e4;

    /// <summary>An end waits for grace periods: 40 to 60 ms were seen (docs/calibration.md, "microVM death").</summary>
    private const double LongestEnd = 1e9;

    private const double Terabyte = 1024.0 * 1024 * 1024 * 1024;

    private static readonly FigureKind[] _topology =
    [
        new("sockets", "topology", FigureUnit.Count, 1, 16, "Sockets, joined by an interconnect."),
        new("pes", "topology", FigureUnit.Count, 1, 4096, "PEs of all sockets together."),
        new("pes_per_cluster", "topology", FigureUnit.Count, 1, 256, "PEs that share a cluster."),
        new("memory", "topology", FigureUnit.Bytes, 1L << 28, 4 * Terabyte, "RAM of all sockets together."),
        new("cache", "topology", FigureUnit.Bytes, 1 << 16, Terabyte / 64,
            "Capacity of all caches of one socket that can hold a line dirty."),
        new("line", "topology", FigureUnit.Bytes, 16, 2048, "Data cache line (CTR_EL0.DminLine)."),
    ];

    private static readonly FigureKind[] _host =
    [
        new("page_zero", "costs", FigureUnit.Nanoseconds, 0, Longest, "Overwrite 4 KB with zeroes."),
        new("table_free", "costs", FigureUnit.Nanoseconds, 0, Longest, "Give a table page back to its allocator."),
        new("page_free", "costs", FigureUnit.Nanoseconds, 0, Longest,
            "The host's own unmapping and freeing of one 4 KB page of a process."),
        new("block_free", "costs", FigureUnit.Nanoseconds, 0, Longest,
            "The host's own unmapping and freeing of one huge page."),
        new("fault", "costs", FigureUnit.Nanoseconds, 0, Longest,
            "A guest's Stage-2 fault: exit, the host's look-up of the page, entry."),
        new("ipi", "costs", FigureUnit.Nanoseconds, 0, Longest,
            "Interrupt another PE and know that it has left its guest."),
        new("call", "costs", FigureUnit.Nanoseconds, 0, Longest,
            "A system call, or a notifier's callback, and its return."),
        Optional("transparent_fill", Longest,
            "What bringing a transparent huge page takes beyond one of hugetlbfs: it may be zeroed twice."),
        Optional("transparent_free", Longest,
            "What freeing a transparent huge page takes beyond one of hugetlbfs: its page table, the page allocator."),
        Optional("file_fill", Longest,
            "What bringing a 4 KB page of a file in memory (memfd) takes beyond an anonymous one: the page cache."),
        Optional("file_free", Longest,
            "What freeing a 4 KB page of a file in memory (memfd) takes beyond an anonymous one: the page cache."),
        Optional("file_block_free", Longest,
            "What freeing a huge page of a file in memory takes beyond an anonymous one of hugetlbfs."),
        Optional("vm_end", LongestEnd,
            "The end of a VM apart from its memory: descriptors, its structures, grace periods that are waited for."),
        Optional("process_end", LongestEnd,
            "The end of a process apart from its memory and its VMs, until its parent has reaped it."),
    ];

    internal static readonly FigureTable Arm64 = new(
    [
        .. _topology,
        new("forced_write_back", "features", FigureUnit.Flag, 0, 1, "FEAT_S2FWB, and in use."),
        new("range_tlbi", "features", FigureUnit.Flag, 0, 1, "FEAT_TLBIRANGE."),
        new("level_hint", "features", FigureUnit.Flag, 0, 1, "FEAT_TTL."),
        new("coherent_icache", "features", FigureUnit.Flag, 0, 1, "CTR_EL0.DIC."),

        new("entry_read", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "Read a table entry, in a walk over many."),
        new("entry_write", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "Write a table entry, the compare-exchange included."),
        new("entry_unlink", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "What software does besides when it makes a valid entry invalid: reference counts, accounting."),
        new("store_barrier", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany, "DSB ISHST after a table write."),
        new("tlbi_base", "costs", FigureUnit.Nanoseconds, 0, Longest, "A broadcast TLBI, apart from its PEs."),
        new("tlbi_per_pe", "costs", FigureUnit.Nanoseconds, 0, Longest, "A broadcast TLBI, for each PE that hears it."),
        new("tlbi_wait", "costs", FigureUnit.Nanoseconds, 0, Longest, "DSB ISH that completes TLBIs, within a socket."),
        new("tlbi_wait_remote", "costs", FigureUnit.Nanoseconds, 0, Longest,
            "What each further socket adds to that DSB."),
        new("tlbi_victim", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "What every other PE loses by hearing one broadcast."),
        new("dc_line_local", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "Clean and invalidate one line to PoC that no cache holds dirty; memory of the PE's own socket."),
        new("dc_line_remote", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "The same, memory of another socket."),
        new("dc_line_dirty", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "What a line adds that is dirty in a cache and has to be written back."),
        new("cache_barrier", "costs", FigureUnit.Nanoseconds, 0, Longest, "DSB SY that completes cache maintenance."),
        new("ic_line", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany, "Invalidate one instruction cache line."),
        .. _host,
    ]);

    internal static readonly FigureTable Others = new(
    [
        .. _topology,
        new("sev", "features", FigureUnit.Flag, 0, 1,
            "Guest memory is encrypted, and lines of the same memory with and without the C-bit are not coherent."),
        new("base_page", "features", FigureUnit.Bytes, 1 << 12, 1 << 16, "The page that the guest's tables map."),
        new("entry_visit", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "Look at one entry, link of a reverse chain, or shadow entry."),
        new("entry_unlink", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "Make one valid entry invalid, with the software's own accounts of it."),
        new("entry_write", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "Change one entry that stays valid."),
        new("flush_page", "costs", FigureUnit.Nanoseconds, 0, Longest, "Invalidate one address in TLBs."),
        new("flush_guest", "costs", FigureUnit.Nanoseconds, 0, Longest,
            "Invalidate all of a guest's entries, once, where it is issued."),
        new("flush_wait", "costs", FigureUnit.Nanoseconds, 0, Longest, "Wait until invalidations have completed."),
        new("cache_line", "costs", FigureUnit.Nanoseconds, 0, LongestOfMany,
            "Clean and invalidate one data cache line."),
        new("cache_all", "costs", FigureUnit.Nanoseconds, 0, 1e9,
            "Write back and invalidate all caches, as every core is asked to at the same time."),
        .. _host,
    ]);

    private readonly Dictionary<string, FigureKind> _byKey;

    private FigureTable(IReadOnlyList<FigureKind> kinds)
    {
        Kinds = kinds;
        _byKey = kinds.ToDictionary(kind => kind.Key);
        Groups = [.. kinds.Select(kind => kind.Group).Distinct()];
    }

    internal IReadOnlyList<FigureKind> Kinds { get; }

    internal IReadOnlyList<string> Groups { get; }

    /// <summary>The table of an architecture by its name; the machines that name none are arm64's.</summary>
    internal static FigureTable Of(string architecture) => architecture == MachinePreset.Arm64 ? Arm64 : Others;

    internal FigureKind? Find(string key) => _byKey.GetValueOrDefault(key);

    /// <summary>The keys nearest to one that does not exist, for a person who mistyped.</summary>
    internal string Suggest(string key)
    {
        string nearest = Kinds.Select(kind => kind.Key).MinBy(known => Distance(known, key))!;
        return Distance(nearest, key) <= 1 + (key.Length / 3)
            ? $"Did you mean {nearest}?"
            : $"Known are: {string.Join(", ", Kinds.Select(kind => kind.Key))}.";
    }

    /// <summary>A cost that a preset may leave out.</summary>
    private static FigureKind Optional(string key, double greatest, string meaning) =>
        new(key, "costs", FigureUnit.Nanoseconds, 0, greatest, meaning)
        {
            IsOptional = true,
        };

    private static int Distance(string left, string right)
    {
        int[] row = [.. Enumerable.Range(0, right.Length + 1)];
        for (int i = 1; i <= left.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= right.Length; j++)
            {
                int above = row[j];
                int change = left[i - 1] == right[j - 1] ? diagonal : diagonal + 1;
                row[j] = System.Math.Min(change, System.Math.Min(above, row[j - 1]) + 1);
                diagonal = above;
            }
        }

        return row[^1];
    }
}
