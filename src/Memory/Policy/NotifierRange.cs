using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// A range of guest memory whose mapping the host is about to change: the whole notifier range that patch 1
/// hands down (start, end, event, blockable), and with it what the series lacked, the fate of the pages.
/// </summary>
/// <remarks>
/// Addresses are guest-physical. Where a host address space lies under the slots, its owner translates host
/// ranges to these first, slot by slot; where there is none, as at EL2, a page's host address is its guest
/// address and the range is what the monitor ordered.
/// </remarks>
public readonly struct NotifierRange
{
    /// <param name="start">First address; a multiple of the granule.</param>
    /// <param name="end">First address past the range; a multiple of the granule.</param>
    /// <param name="why">The event.</param>
    /// <param name="mayBlock">False: bounded work per call, and a cursor for the rest.</param>
    /// <param name="fate">What becomes of every page of the range.</param>
    public NotifierRange(Ipa start, Ipa end, NotifierEvent why, bool mayBlock, PageFate fate)
    {
        Start = start;
        End = end;
        Event = why;
        MayBlock = mayBlock;
        Fate = fate;
    }

    /// <summary>First address.</summary>
    public Ipa Start { get; }

    /// <summary>First address past the range.</summary>
    public Ipa End { get; }

    /// <summary>Why the host changes its mapping.</summary>
    public NotifierEvent Event { get; }

    /// <summary>Whether the caller can wait for all of it in one call.</summary>
    public bool MayBlock { get; }

    /// <summary>What becomes of the pages.</summary>
    public PageFate Fate { get; }
}
