using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Quietus.Wire;

namespace Quietus.KvmProbe.Linux;

/// <summary>Memory of this process: anonymous, in pages of 4 KB or in blocks of 2 MB, or a file's, in pages.</summary>
/// <remarks>Invariant: the range was mapped here and is unmapped once.</remarks>
internal unsafe struct Memory
{
    private const ulong ReadWrite = 3; // PROT_READ, PROT_WRITE
    private const ulong PrivateAnonymous = 0x4022; // MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE
    private const ulong Shared = 1; // MAP_SHARED
    private const ulong Private = 0x4002; // MAP_PRIVATE, MAP_NORESERVE
    private const ulong HugePages = 14; // MADV_HUGEPAGE
    private const ulong NoHugePages = 15; // MADV_NOHUGEPAGE
    private const int MostText = 4096;

    internal ulong Start;
    internal ulong Bytes;

    /// <summary>Maps memory at a multiple of 2 MB. No page of it exists yet.</summary>
    internal static Memory Map(ulong bytes, bool huge)
    {
        const ulong Block = Options.BlockBytes;
        ulong room = Failure.Checked(
            SystemCalls.MapMemory(bytes + Block, ReadWrite, PrivateAnonymous, -1), "mapping memory"u8);
        ulong start = (room + Block - 1) & ~(Block - 1);
        if (start != room)
        {
            SystemCalls.UnmapMemory(room, start - room);
        }

        if (room + Block != start)
        {
            SystemCalls.UnmapMemory(start + bytes, room + Block - start);
        }

        Failure.Checked(
            SystemCalls.Advise(start, bytes, huge ? HugePages : NoHugePages), "choosing the size of pages"u8);
        return new Memory { Start = start, Bytes = bytes };
    }

    /// <summary>Stores to every line of its beginning.</summary>
    internal readonly void Dirty(ulong bytes) => StoreLines(Start, bytes);

    /// <summary>Maps a file: what is written goes to it, or to pages of this mapping's own.</summary>
    internal static Memory MapFile(int file, ulong bytes, bool isPrivate) => new()
    {
        Start = Failure.Checked(
            SystemCalls.MapMemory(bytes, ReadWrite, isPrivate ? Private : Shared, file), "mapping a file"u8),
        Bytes = bytes,
    };

    /// <summary>Maps memory of no file, in the plainest way. No page of it exists yet.</summary>
    internal static Memory MapEmpty(ulong bytes) => new()
    {
        Start = Failure.Checked(
            SystemCalls.MapMemory(bytes, ReadWrite, PrivateAnonymous, -1), "mapping memory"u8),
        Bytes = bytes,
    };

    internal readonly void Unmap() => Failure.Checked(SystemCalls.UnmapMemory(Start, Bytes), "unmapping memory"u8);

    /// <summary>How much of this process is in blocks: AnonHugePages of /proc/self/smaps_rollup.</summary>
    internal static ulong HugeBytes()
    {
        const int Kilobyte = 1024;
        int file = (int)Failure.Checked(SystemCalls.Open("/proc/self/smaps_rollup"u8, 0), "opening smaps_rollup"u8);
        byte* buffer = stackalloc byte[MostText];
        int length = 0;
        long got;
        while ((got = SystemCalls.Read(file, buffer + length, (ulong)(MostText - length))) > 0)
        {
            length += (int)got;
        }

        SystemCalls.Close(file);
        var text = new ReadOnlySpan<byte>(buffer, length);
        while (text.Length != 0)
        {
            int end = text.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? text : text.Slice(0, end);
            text = text.Slice(end < 0 ? text.Length : end + 1);
            if (line.StartsWith("AnonHugePages:"u8))
            {
                return Number(line) * Kilobyte;
            }
        }

        Failure.Stop("smaps_rollup has no AnonHugePages"u8, default, 0);
        return 0;
    }

    /// <summary>The one number in a line.</summary>
    private static ulong Number(ReadOnlySpan<byte> line)
    {
        int start = 0;
        while (start < line.Length && line[start] is < (byte)'0' or > (byte)'9')
        {
            start++;
        }

        int length = 0;
        while (start + length < line.Length && line[start + length] is >= (byte)'0' and <= (byte)'9')
        {
            length++;
        }

        Numbers.TryParse(line.Slice(start, length), out ulong value);
        return value;
    }

    [RuntimeImport("*", "store_lines"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void StoreLines(ulong start, ulong bytes);
}
