namespace Quietus.Architectures;

/// <summary>
/// What a hook does to the world, in the terms that all architectures share; each has its own names for them
/// (<see cref="Architecture.NameOf"/>).
/// </summary>
public enum HookOperation
{
    /// <summary>The host's core calls the hook.</summary>
    Call,

    /// <summary>
    /// One entry, link of a reverse chain or shadow entry is looked at. Descents to a table are not counted, and an
    /// entry that one call looks at twice counts once.
    /// </summary>
    Visit,

    /// <summary>A valid entry is made invalid.</summary>
    Unlink,

    /// <summary>A valid entry is changed and stays valid.</summary>
    Write,

    /// <summary>One address is invalidated in TLBs.</summary>
    FlushPage,

    /// <summary>All of a guest's entries are invalidated in TLBs, once, where it is issued.</summary>
    FlushGuest,

    /// <summary>A wait until invalidations have completed.</summary>
    FlushWait,

    /// <summary>A core that runs the guest is interrupted, and known to have left it.</summary>
    Ipi,

    /// <summary>One data cache line is cleaned and invalidated.</summary>
    CacheLine,

    /// <summary>All caches are written back and invalidated, on every core at the same time.</summary>
    CacheAll,

    /// <summary>A table page is given back.</summary>
    TableFree,
}
