using System.Collections.Generic;

namespace Quietus.Simulator;

/// <summary>What a part of a process's address space is backed by.</summary>
public enum AreaKind
{
    /// <summary>Anonymous private memory.</summary>
    Anonymous,

    /// <summary>A file, mapped shared: its pages stay in the page cache and are written back.</summary>
    File,

    /// <summary>Shared memory: as a file, without one.</summary>
    SharedMemory,

    /// <summary>
    /// A file in memory (memfd) that no other process maps: its pages are freed with a hole, or with the mapping.
    /// </summary>
    MemoryFile,
}

/// <summary>In what sizes anonymous memory is backed.</summary>
public enum AreaPages
{
    /// <summary>4 KB only.</summary>
    Small,

    /// <summary>Transparent huge pages where the host finds one.</summary>
    Transparent,

    /// <summary>2 MB pages of hugetlbfs.</summary>
    Huge2M,

    /// <summary>1 GB pages of hugetlbfs.</summary>
    Huge1G,
}

/// <summary>
/// A file's, or a piece of shared memory's, pages in memory, by page number. Lives as long as a process has it.
/// </summary>
public sealed class HostFile
{
    internal Dictionary<ulong, ulong> Cache { get; } = [];
}

/// <summary>A contiguous part of a process's address space (a VMA).</summary>
internal sealed record MemoryArea(ulong Start, ulong End, AreaKind Kind, AreaPages Pages, bool IsWritable)
{
    internal HostFile? File { get; init; }

    /// <summary>The file's byte that the area begins with.</summary>
    internal ulong FileOffset { get; init; }

    /// <summary>The share of 2 MB blocks for which a transparent huge page is found, 0 to 1.</summary>
    internal double HugePageShare { get; init; } = 1;

    /// <summary>Whether its pages may outlive the mapping, in a file's page cache.</summary>
    internal bool HasPageCache => Kind is AreaKind.File or AreaKind.SharedMemory;

    internal ulong FilePageOf(ulong address) => (FileOffset + (address - Start)) >> 12;

    /// <summary>The same area, seen from another start.</summary>
    internal MemoryArea Part(ulong start, ulong end) =>
        this with { Start = start, End = end, FileOffset = FileOffset + (start - Start) };
}
