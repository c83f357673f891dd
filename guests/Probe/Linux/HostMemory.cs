using System;

namespace Quietus.Probe.Linux;

/// <summary>The host's memory: what may be taken, and what is free.</summary>
/// <remarks>Invariant: the buffer is as large as the struct sysinfo that Linux fills in.</remarks>
internal static unsafe class HostMemory
{
    private const int InformationBytes = 112;
    private const int FreeMemory = 40;
    private const int MemoryUnit = 104;
    private const int MostText = 8192;

    /// <summary>What may be taken without swapping: MemAvailable of /proc/meminfo, or what the cgroup leaves.</summary>
    internal static ulong Available()
    {
        Span<byte> buffer = stackalloc byte[MostText];
        ulong available = TextFile.Kilobytes(TextFile.Read("/proc/meminfo"u8, buffer), "MemAvailable"u8);
        ulong limit = CgroupLeaves();
        return limit < available ? limit : available;
    }

    /// <summary>
    /// What the cgroup of version 2 that we are in still allows; more than there is where there is no limit.
    /// </summary>
    internal static ulong CgroupLeaves()
    {
        Span<byte> group = stackalloc byte[512];
        Span<byte> path = stackalloc byte[600];
        Span<byte> number = stackalloc byte[64];
        ReadOnlySpan<byte> own = TextFile.Field(TextFile.Read("/proc/self/cgroup"u8, group), "0:"u8);
        var folder = new Wire.LineBuilder(path);
        folder.Text("/sys/fs/cgroup"u8);
        folder.Text(own);
        if (!TextFile.TryFirstNumber(TextFile.Read(folder.Written, "memory.max"u8, number), out ulong most)
            || !TextFile.TryFirstNumber(TextFile.Read(folder.Written, "memory.current"u8, number), out ulong taken))
        {
            return ulong.MaxValue;
        }

        return most > taken ? most - taken : 0;
    }

    /// <summary>Bytes that are free now: of the kernel (sysinfo), or of hugetlbfs' pool.</summary>
    internal static ulong Free(PageKind kind)
    {
        if (PageKinds.PoolPage(kind) != 0)
        {
            return PoolFree(kind) * PageKinds.PoolPage(kind);
        }

        byte* information = stackalloc byte[InformationBytes];
        Problem.Checked(SystemCalls.SystemInformation(information), "asking for free memory"u8);
        return *(ulong*)(information + FreeMemory) * *(uint*)(information + MemoryUnit);
    }

    /// <summary>Pages of hugetlbfs that are there and free; what others have reserved is not.</summary>
    internal static ulong PoolFree(PageKind kind)
    {
        bool is2M = kind == PageKind.Huge2M;
        TextFile.TryNumber(
            is2M
                ? "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"u8
                : "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages"u8,
            out ulong free);
        TextFile.TryNumber(
            is2M
                ? "/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages"u8
                : "/sys/kernel/mm/hugepages/hugepages-1048576kB/resv_hugepages"u8,
            out ulong reserved);
        return free > reserved ? free - reserved : 0;
    }

    /// <summary>How much of this process is in blocks of 2 MB that are not hugetlbfs'.</summary>
    internal static ulong TransparentBytes()
    {
        Span<byte> buffer = stackalloc byte[MostText];
        ReadOnlySpan<byte> text = TextFile.Read("/proc/self/smaps_rollup"u8, buffer);
        return TextFile.Kilobytes(text, "AnonHugePages"u8) + TextFile.Kilobytes(text, "ShmemPmdMapped"u8);
    }
}
