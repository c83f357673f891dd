using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Quietus.Probe.Linux;

/// <summary>
/// A VM's memory in this process: anonymous, or a file's in memory, of which ranges can be punched out.
/// </summary>
/// <remarks>Invariant: the range was mapped here and is unmapped once; nothing else of this process lies in
/// it.</remarks>
internal unsafe struct Area
{
    internal const ulong PageBytes = 4096;
    internal const ulong BlockBytes = 2 * 1024 * 1024;

    private const ulong ReadWrite = 3; // PROT_READ, PROT_WRITE
    private const ulong Shared = 1; // MAP_SHARED
    private const ulong PrivateAnonymous = 0x22; // MAP_PRIVATE, MAP_ANONYMOUS
    private const ulong NoReserve = 0x4000; // MAP_NORESERVE
    private const ulong FromPool = 0x40000; // MAP_HUGETLB
    private const ulong FileFromPool = 5; // MFD_CLOEXEC, MFD_HUGETLB
    private const int PageShift = 26; // MAP_HUGE_SHIFT, MFD_HUGE_SHIFT
    private const ulong Drop = 4; // MADV_DONTNEED
    private const ulong HugePages = 14; // MADV_HUGEPAGE
    private const ulong NoHugePages = 15; // MADV_NOHUGEPAGE

    internal ulong Start;
    internal ulong Bytes;
    private int file;
    private ulong offset;

    /// <summary>Maps memory at a multiple of its page. No page of it exists yet.</summary>
    /// <param name="bytes">A multiple of 2 MB, and of 1 GB where the pages have that.</param>
    /// <param name="kind">Where its pages come from.</param>
    /// <param name="isFile">Whether it is a file in memory (memfd), shared, rather than anonymous.</param>
    internal static Area Map(ulong bytes, PageKind kind, bool isFile)
    {
        Area made = default;
        made.Bytes = bytes;
        made.file = -1;
        ulong page = PageKinds.PoolPage(kind);
        ulong size = page == 0 ? 0 : (page == BlockBytes ? 21UL : 30UL) << PageShift;

        // Linux itself puts pages of a pool where they have to be. Of the others a block more than is needed is asked
        // for, and the ends that stick out are given back.
        ulong room = page == 0 ? bytes + BlockBytes : bytes;
        if (isFile)
        {
            made.file = (int)Problem.Checked(
                SystemCalls.MakeFile("quietus-probe"u8, page == 0 ? 1 : FileFromPool | size),
                "making a file in memory (memfd_create)"u8);
            Problem.Checked(SystemCalls.Resize(made.file, room), "sizing a file in memory"u8);
        }

        ulong flags = (isFile ? Shared : PrivateAnonymous) | (page == 0 ? NoReserve : isFile ? 0 : FromPool | size);
        ulong start = Problem.Checked(
            SystemCalls.MapMemory(room, ReadWrite, flags, made.file), "mapping memory (mmap)"u8);
        made.Start = page == 0 ? (start + BlockBytes - 1) & ~(BlockBytes - 1) : start;
        made.offset = made.Start - start;
        if (page == 0)
        {
            made.Trim(start, room);
            // A kernel without transparent huge pages knows neither advice, and does what the second asks for.
            long advised = SystemCalls.Advise(
                made.Start, bytes, kind == PageKind.Transparent ? HugePages : NoHugePages);
            if (kind == PageKind.Transparent)
            {
                Problem.Checked(advised, "asking for transparent huge pages (madvise)"u8);
            }
        }

        return made;
    }

    /// <summary>Stores to every line of it, as a guest does.</summary>
    internal readonly void Touch(ulong from) => StoreLines(Start + from, Bytes - from);

    internal readonly void Unmap()
    {
        Problem.Checked(SystemCalls.UnmapMemory(Start, Bytes), "unmapping memory (munmap)"u8);
        if (file >= 0)
        {
            SystemCalls.Close(file);
        }
    }

    /// <summary>Gives its pages back and keeps the mapping (MADV_DONTNEED).</summary>
    internal readonly void DontNeed() =>
        Problem.Checked(SystemCalls.Advise(Start, Bytes, Drop), "giving pages back (MADV_DONTNEED)"u8);

    /// <summary>Gives the file's pages back and keeps the mapping (FALLOC_FL_PUNCH_HOLE).</summary>
    internal readonly void Punch() => Problem.Checked(
        SystemCalls.PunchHole(file, offset, Bytes), "giving pages back (FALLOC_FL_PUNCH_HOLE)"u8);

    private readonly void Trim(ulong start, ulong room)
    {
        if (Start != start)
        {
            SystemCalls.UnmapMemory(start, Start - start);
        }

        ulong end = Start + Bytes;
        if (end != start + room)
        {
            SystemCalls.UnmapMemory(end, start + room - end);
        }
    }

    [RuntimeImport("*", "store_lines"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void StoreLines(ulong start, ulong bytes);
}
