using System;
using Quietus.Wire;

namespace Quietus.KvmProbe;

/// <summary>What is to be measured: the program's arguments, key=value each.</summary>
internal struct Options
{
    internal const ulong PageBytes = 4096;
    internal const ulong BlockBytes = 2 * 1024 * 1024;
    private const ulong MostMemory = 1UL << 39;

    /// <summary>The VM's memory, whole blocks of 2 MB.</summary>
    internal ulong MemoryBytes;

    /// <summary>How much of it the guest writes, from its start; whole blocks.</summary>
    internal ulong FillBytes;

    /// <summary>How many pages a child of a snapshot writes; 0 to measure deaths instead of births.</summary>
    internal ulong Writes;

    /// <summary>Whether the host backs the memory with blocks of 2 MB (transparent huge pages) or never does.</summary>
    internal bool Huge;

    private bool pagesGiven;

    internal readonly bool IsComplete => MemoryBytes != 0 && FillBytes != 0 && FillBytes <= MemoryBytes && pagesGiven
        && Writes < FillBytes / PageBytes;

    /// <summary>Takes one argument; false when it makes no sense.</summary>
    internal bool Set(ReadOnlySpan<byte> argument)
    {
        int equals = argument.IndexOf((byte)'=');
        if (equals < 0)
        {
            return false;
        }

        ReadOnlySpan<byte> key = argument.Slice(0, equals);
        ReadOnlySpan<byte> value = argument.Slice(equals + 1);
        if (key.SequenceEqual("memory"u8))
        {
            return TryReadMemory(value, out MemoryBytes);
        }

        if (key.SequenceEqual("fill"u8))
        {
            return TryReadMemory(value, out FillBytes);
        }

        if (key.SequenceEqual("writes"u8))
        {
            return Numbers.TryParse(value, out Writes) == NumberError.None;
        }

        pagesGiven = true;
        Huge = value.SequenceEqual("2m"u8);
        return key.SequenceEqual("pages"u8) && (Huge || value.SequenceEqual("4k"u8));
    }

    private static bool TryReadMemory(ReadOnlySpan<byte> text, out ulong bytes) =>
        Numbers.TryParseSize(text, out bytes) == NumberError.None && bytes <= MostMemory && bytes % BlockBytes == 0;
}
