namespace Quietus.Memory;

/// <summary>
/// Why the host is about to change its mapping of a range: the "event" that patch 1 of the series hands to
/// the hook which unmaps a range (message id 20191213182503.14460-2-maz@kernel.org). The event says what the
/// host <em>did</em>, not what becomes of the pages: that is <see cref="PageFate"/>.
/// </summary>
/// <remarks>Process exit is not an event: it arrives as the notifier's release callback.</remarks>
public enum NotifierEvent : byte
{
    /// <summary>munmap, but mremap raises it too, and that keeps the contents.</summary>
    Unmap,

    /// <summary>Pages cleared or replaced: reclaim, migration, MADV_DONTNEED.</summary>
    Clear,

    /// <summary>The protection of a whole host mapping changes (mprotect).</summary>
    ProtectionVma,

    /// <summary>The protection of single pages changes (copy-on-write, write-back).</summary>
    ProtectionPage,

    /// <summary>The host clears its soft-dirty bits and wants to see the next write.</summary>
    SoftDirty,

    /// <summary>Pages move to or from device memory.</summary>
    Migrate,

    /// <summary>A device takes exclusive access for atomic operations.</summary>
    Exclusive,
}
