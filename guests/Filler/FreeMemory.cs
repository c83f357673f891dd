using System.Runtime.CompilerServices;
using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>
/// The pages of RAM that the guest does not use itself: all but its image and its device tree. Numbered from the end of
/// RAM downwards, page 0 the highest.
/// </summary>
internal static class FreeMemory
{
    internal const int PageShift = 12;
    internal const ulong PageBytes = 1UL << PageShift;

    private const int MaximumRanges = 3;

    private static Ranges _ranges;
    private static int _count;

    /// <summary>How many pages there are.</summary>
    internal static ulong Pages { get; private set; }

    /// <summary>Takes what is used out of the RAM.</summary>
    internal static void Initialize(ulong imageStart, ulong imageEnd)
    {
        bool treeIsHigher = Board.TreeStart >= imageStart;
        (ulong high, ulong highEnd) = treeIsHigher ? (Board.TreeStart, Board.TreeEnd) : (imageStart, imageEnd);
        (ulong low, ulong lowEnd) = treeIsHigher ? (imageStart, imageEnd) : (Board.TreeStart, Board.TreeEnd);
        Add(highEnd, Board.RamEnd);
        Add(lowEnd, high);
        Add(Board.RamStart, low);
    }

    /// <summary>The address of page <paramref name="number"/>, which is below <see cref="Pages"/>, and the pages that
    /// follow it downwards without a gap, itself counted.</summary>
    internal static ulong Find(ulong number, out ulong run)
    {
        for (int i = 0; i < _count; i++)
        {
            ulong pages = (_ranges[i].End - _ranges[i].Start) >> PageShift;
            if (number < pages)
            {
                run = pages - number;
                return _ranges[i].End - ((number + 1) << PageShift);
            }

            number -= pages;
        }

        run = 0;
        return 0;
    }

    /// <summary>The lowest address of so many free pages in a row, 0 when there is no such place.</summary>
    internal static ulong FindLowest(ulong pages)
    {
        for (int i = _count - 1; i >= 0; i--)
        {
            if ((_ranges[i].End - _ranges[i].Start) >> PageShift >= pages)
            {
                return _ranges[i].Start;
            }
        }

        return 0;
    }

    private static void Add(ulong start, ulong end)
    {
        start = (start + PageBytes - 1) & ~(PageBytes - 1);
        end &= ~(PageBytes - 1);
        start = start < Board.RamStart ? Board.RamStart : start;
        end = end > Board.RamEnd ? Board.RamEnd : end;
        if (start < end)
        {
            _ranges[_count].Start = start;
            _ranges[_count].End = end;
            _count++;
            Pages += (end - start) >> PageShift;
        }
    }

    private struct Range
    {
        internal ulong Start;
        internal ulong End;
    }

    [InlineArray(MaximumRanges)]
    private struct Ranges
    {
        private Range _first;
    }
}
