using System.Collections.Generic;
using System.Linq;

namespace Quietus.Simulator;

/// <summary>What a figure's key stands for, and which values make sense at all.</summary>
internal sealed record FigureKind(
    string Key, string Group, FigureUnit Unit, double Least, double Greatest, string Meaning);

/// <summary>Every figure that a machine preset has: a preset names each of them, and no other.</summary>
internal static class FigureTable
{
    /// <summary>No operation takes longer; and sums over the lines of terabytes stay within 63 bits.</summary>
    private const double Longest = 1e6;

    private const double LongestOfMany = 1e4;
    private const double Terabyte = 1024.0 * 1024 * 1024 * 1024;

    internal static readonly IReadOnlyList<FigureKind> Kinds =
    [
        new("sockets", "topology", FigureUnit.Count, 1, 16, "Sockets, joined by an interconnect."),
        new("pes", "topology", FigureUnit.Count, 1, 4096, "PEs of all sockets together."),
        new("pes_per_cluster", "topology", FigureUnit.Count, 1, 256, "PEs that share a cluster."),
        new("memory", "topology", FigureUnit.Bytes, 1L << 28, 4 * Terabyte, "RAM of all sockets together."),
        new("cache", "topology", FigureUnit.Bytes, 1 << 16, Terabyte / 64,
            "Capacity of all caches of one socket that can hold a line dirty."),
        new("line", "topology", FigureUnit.Bytes, 16, 2048, "Data cache line (CTR_EL0.DminLine)."),

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
    ];

    private static readonly Dictionary<string, FigureKind> s_byKey = Kinds.ToDictionary(kind => kind.Key);

    internal static readonly IReadOnlyList<string> Groups = [.. Kinds.Select(kind => kind.Group).Distinct()];

    internal static FigureKind? Find(string key) => s_byKey.GetValueOrDefault(key);

    /// <summary>The keys nearest to one that does not exist, for a person who mistyped.</summary>
    internal static string Suggest(string key)
    {
        string nearest = Kinds.Select(kind => kind.Key).MinBy(known => Distance(known, key))!;
        return Distance(nearest, key) <= 1 + (key.Length / 3)
            ? $"Did you mean {nearest}?"
            : $"Known are: {string.Join(", ", Kinds.Select(kind => kind.Key))}.";
    }

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
