using System;
using Quietus.Probe.Linux;
using Quietus.Probe.Runs;
using Quietus.Wire;

namespace Quietus.Probe;

/// <summary>What is to be measured: the command line.</summary>
/// <remarks>Invariant: the sizes and paths that it names are the arguments', which last as long as the
/// program.</remarks>
internal unsafe struct Options
{
    internal const int MostSizes = 16;
    internal const int DefaultRuns = 5;

    private fixed ulong sizes[MostSizes];
    private ulong jsonAddress;
    private int jsonLength;

    internal int SizeCount;

    /// <summary>Bit by <see cref="PageKind"/>; 0: what the host has.</summary>
    internal uint Pages;

    /// <summary>Bit by <see cref="ProbeWay"/>; those without a VM come with theirs.</summary>
    internal uint Ways;

    internal int Runs;
    internal bool OverHalf;
    internal bool IsQuiet;
    internal bool Alone;
    internal bool CountsProcessor;
    internal bool WantsHelp;

    internal static Options Default => new() { Ways = 0x3F, Runs = DefaultRuns };

    internal readonly ulong Size(int index) => sizes[index];

    internal void SetSize(int index, ulong bytes) => sizes[index] = bytes;

    /// <summary>Where the JSON goes: a path that ends in 0 behind its end, or "-"; empty for nowhere.</summary>
    internal readonly ReadOnlySpan<byte> Json => new((void*)jsonAddress, jsonLength);

    /// <summary>Takes the arguments; what is wrong ends the program.</summary>
    internal void Take(ulong* stack)
    {
        ulong count = Arguments.Count(stack);
        for (ulong i = 1; i < count; i++)
        {
            ReadOnlySpan<byte> argument = Arguments.At(stack, i);
            int equals = argument.IndexOf((byte)'=');
            ReadOnlySpan<byte> name = equals < 0 ? argument : argument.Slice(0, equals);
            if (TakeFlag(argument))
            {
                continue;
            }

            if (equals < 0 && i + 1 == count)
            {
                Problem.BadUsage("an unknown option, or one without its value; --help names them"u8, argument);
            }

            TakeValue(name, equals < 0 ? Arguments.At(stack, ++i) : argument.Slice(equals + 1));
        }
    }

    private bool TakeFlag(ReadOnlySpan<byte> argument)
    {
        bool isHelp = argument.SequenceEqual("--help"u8) || argument.SequenceEqual("-h"u8);
        bool isQuiet = argument.SequenceEqual("--quiet"u8);
        bool isOver = argument.SequenceEqual("--over-half"u8);
        bool isAlone = argument.SequenceEqual("--alone"u8);
        bool isCounting = argument.SequenceEqual("--count-processor"u8);
        WantsHelp |= isHelp;
        IsQuiet |= isQuiet;
        OverHalf |= isOver;
        Alone |= isAlone;
        CountsProcessor |= isCounting;
        return isHelp || isQuiet || isOver || isAlone || isCounting;
    }

    private void TakeValue(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        if (name.SequenceEqual("--json"u8))
        {
            if (value.Length == 0)
            {
                Problem.BadUsage("--json takes the path of a file, or - for stdout"u8, default);
            }

            jsonAddress = (ulong)System.Runtime.CompilerServices.Unsafe.AsPointer(
                ref System.Runtime.InteropServices.MemoryMarshal.GetReference(value));
            jsonLength = value.Length;
            return;
        }

        if (name.SequenceEqual("--repeat"u8))
        {
            if (Numbers.TryParse(value, out ulong runs) != NumberError.None || runs is 0 or > Samples.MostRuns)
            {
                Problem.BadUsage("--repeat takes a number from 1 to 100"u8, value);
            }

            Runs = (int)runs;
            return;
        }

        bool isMemory = name.SequenceEqual("--memory"u8);
        bool isPages = name.SequenceEqual("--pages"u8);
        if (!isMemory && !isPages && !name.SequenceEqual("--ways"u8))
        {
            Problem.BadUsage("there is no such option; --help names them"u8, name);
        }

        // An item that is empty is no item: what takes it says so.
        bool isEmpty = value.Length == 0 || value[value.Length - 1] == (byte)',';
        uint ways = 0;
        while (value.Length != 0 || isEmpty)
        {
            isEmpty &= value.Length != 0;
            int comma = value.IndexOf((byte)',');
            ReadOnlySpan<byte> item = comma < 0 ? value : value.Slice(0, comma);
            value = value.Slice(comma < 0 ? value.Length : comma + 1);
            if (isMemory)
            {
                TakeSize(item);
            }
            else if (isPages)
            {
                Pages |= PageBit(item);
            }
            else
            {
                ways |= WayBit(item);
            }
        }

        Ways = isMemory || isPages ? Ways : ways;
    }

    private void TakeSize(ReadOnlySpan<byte> item)
    {
        if (Numbers.TryParseSize(item, out ulong bytes) != NumberError.None || bytes < Area.BlockBytes * 2
            || bytes % Area.BlockBytes != 0 || bytes > 1UL << 39)
        {
            Problem.BadUsage("--memory takes multiples of 2M from 4M to 512G, such as 64M,1G"u8, item);
        }

        if (SizeCount == MostSizes)
        {
            Problem.BadUsage("--memory takes 16 sizes at most"u8, item);
        }

        sizes[SizeCount++] = bytes;
    }

    private static uint PageBit(ReadOnlySpan<byte> item)
    {
        for (int i = 0; i < PageKinds.Count; i++)
        {
            if (item.SequenceEqual(PageKinds.NameOf((PageKind)i)))
            {
                return 1U << i;
            }
        }

        Problem.BadUsage("--pages takes 4k, thp, hugetlb-2m, hugetlb-1g"u8, item);
        return 0;
    }

    private static uint WayBit(ReadOnlySpan<byte> item)
    {
        for (int i = 0; i <= (int)Way.Punch; i++)
        {
            if (item.SequenceEqual(ProbeWays.NameOf((Way)i)))
            {
                return 1U << i;
            }
        }

        Problem.BadUsage("--ways takes close, kill, munmap, dontneed, slot, punch"u8, item);
        return 0;
    }
}
