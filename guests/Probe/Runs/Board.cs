using System.Threading;
using Quietus.Probe.Linux;

namespace Quietus.Probe.Runs;

/// <summary>
/// What parent and children tell each other: shared memory with a place for each child, and the neighbour's counters.
/// </summary>
/// <remarks>
/// Invariant: the memory is mapped from the program's start to its end; a place has <see cref="PlaceWords"/> words, and
/// its child alone writes it between the fork and the wait.
/// </remarks>
internal static unsafe class Board
{
    internal const int MostChildren = 512;
    private const int PlaceWords = 32;
    private const int NeighbourWords = 32;

    private static ulong* words;

    internal static void SetUp() => words = (ulong*)Problem.Checked(
        SystemCalls.MapMemory(
            ((MostChildren * PlaceWords) + NeighbourWords) * sizeof(ulong), 3, 0x21, -1), // MAP_SHARED, MAP_ANONYMOUS
        "mapping shared memory"u8);

    /// <summary>A child's place, empty.</summary>
    internal static Place Clear(int child)
    {
        ulong* place = words + (child * PlaceWords);
        for (int i = 0; i < PlaceWords; i++)
        {
            place[i] = 0;
        }

        return new Place(place);
    }

    internal static Place At(int child) => new(words + (child * PlaceWords));

    private static ulong* Neighbours => words + (MostChildren * PlaceWords);

    /// <summary>How often the neighbour's guest has been round its memory.</summary>
    internal static ulong Rounds
    {
        get => Volatile.Read(ref Neighbours[0]);
        set => Volatile.Write(ref Neighbours[0], value);
    }

    /// <summary>The longest that one round took, in nanoseconds, since it was set to 0.</summary>
    internal static ulong LongestRound
    {
        get => Volatile.Read(ref Neighbours[8]);
        set => Volatile.Write(ref Neighbours[8], value);
    }
}

/// <summary>One child's place on the board.</summary>
/// <remarks>Invariant: as <see cref="Board"/>'s.</remarks>
internal readonly unsafe struct Place(ulong* words)
{
    private const int StateWord = 24;
    private const int MomentWord = 25;
    private const int FreeWord = 26;
    private const int HugeWord = 27;
    private const int RoundsWord = 28;
    private const int LongestWord = 29;

    private readonly ulong* words = words;

    internal ulong this[Figure figure]
    {
        get => words[(int)figure];
        set => words[(int)figure] = value;
    }

    /// <summary>Whether the child has filled its memory and can be killed.</summary>
    internal bool IsReady
    {
        get => Volatile.Read(ref words[StateWord]) != 0;
        set => Volatile.Write(ref words[StateWord], value ? 1UL : 0);
    }

    /// <summary>When its last system call began.</summary>
    internal ulong LastMoment
    {
        get => Volatile.Read(ref words[MomentWord]);
        set => Volatile.Write(ref words[MomentWord], value);
    }

    /// <summary>Bytes that were free before the order.</summary>
    internal ulong FreeBefore
    {
        get => words[FreeWord];
        set => words[FreeWord] = value;
    }

    /// <summary>Of its memory, bytes in transparent blocks.</summary>
    internal ulong TransparentBytes
    {
        get => words[HugeWord];
        set => words[HugeWord] = value;
    }

    /// <summary>The neighbour's rounds while the order was carried out.</summary>
    internal ulong NeighbourRounds
    {
        get => words[RoundsWord];
        set => words[RoundsWord] = value;
    }

    internal ulong NeighbourLongest
    {
        get => words[LongestWord];
        set => words[LongestWord] = value;
    }
}
