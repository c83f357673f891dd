namespace Quietus.Architectures;

/// <summary>What a host does to a guest's memory, as the hooks' table has it.</summary>
public enum HookEvent
{
    /// <summary>munmap of all of it: UNMAP.</summary>
    Munmap,

    /// <summary>mremap of all of it, which keeps the contents: UNMAP.</summary>
    Mremap,

    /// <summary>MADV_DONTNEED of all of it: CLEAR.</summary>
    Madvise,

    /// <summary>Each page is moved to another frame: CLEAR, page by page.</summary>
    Migration,

    /// <summary>Each page is written out and freed: CLEAR, page by page.</summary>
    SwapOut,

    /// <summary>mprotect of all of it: PROTECTION_VMA.</summary>
    Mprotect,

    /// <summary>The process forks, and its pages become copy-on-write: PROTECTION_PAGE.</summary>
    Fork,

    /// <summary>What was accessed is asked for, and forgotten (clear_flush_young).</summary>
    Age,

    /// <summary>The process unmaps memory that is not the guest's.</summary>
    Elsewhere,

    /// <summary>The memory slot is deleted, and the VM lives on.</summary>
    SlotRemoval,

    /// <summary>The process exits: the release callback.</summary>
    Exit,
}
