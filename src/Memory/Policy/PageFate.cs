namespace Quietus.Memory;

/// <summary>
/// What becomes of a page after it has left Stage-2. The engine cleans a page for its next reader, so the fate decides
/// whether the cleaning can be left out, never the event alone: that was the finding of the review of patch 7. The
/// host that unmaps states the fate; one that does not know it says <see cref="Unknown"/>, and the page is cleaned.
/// </summary>
public enum PageFate : byte
{
    /// <summary>Not known. Maintain.</summary>
    Unknown,

    /// <summary>
    /// Anonymous memory whose last mapping this was: the frame is freed, and its next owner overwrites
    /// every byte through a cacheable mapping before reading one.
    /// </summary>
    AnonymousLastMappingFreed,

    /// <summary>The page belongs to a file (an EFI flash image, say) and is written back later.</summary>
    FileBacked,

    /// <summary>Another VM, process or mapping still sees the page.</summary>
    StillMappedElsewhere,

    /// <summary>mremap: the contents stay and appear at another address.</summary>
    KeptByRemap,

    /// <summary>The contents are copied to another frame after the unmapping: migration, compaction.</summary>
    CopiedToNewFrame,

    /// <summary>The page goes out through a device that does not snoop the CPUs' caches.</summary>
    SwappedToNonSnoopingDevice,

    /// <summary>The page stays where it is and is mapped here again: protection changes, soft-dirty.</summary>
    StaysInPlace,
}
