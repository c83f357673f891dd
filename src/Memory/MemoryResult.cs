namespace Quietus.Memory;

/// <summary>How an operation on a VM's memory ended. Errors are found before anything was changed.</summary>
public enum MemoryResult : byte
{
    /// <summary>All of it was done.</summary>
    Ok,

    /// <summary>The bounded part was done; call again with the same cursor.</summary>
    Again,

    /// <summary>An address or size is not a multiple of the granule.</summary>
    Misaligned,

    /// <summary>Empty, wrapping, or beyond the VM's guest-physical address size.</summary>
    OutOfRange,

    /// <summary>It overlaps a slot that exists.</summary>
    Overlap,

    /// <summary>Every slot number is taken.</summary>
    TooManySlots,

    /// <summary>No slot has this number.</summary>
    NoSuchSlot,

    /// <summary>Options, buffers or an enum value that make no sense together.</summary>
    BadArgument,

    /// <summary>
    /// The claimed fate or event cannot be of frames that the pool owns: only this VM maps them, and they
    /// are freed when they are unmapped.
    /// </summary>
    FateNeedsHostBacking,

    /// <summary>The slot has no dirty log.</summary>
    NotLogged,

    /// <summary>The pool has no memory for pages or tables.</summary>
    OutOfMemory,

    /// <summary>Nothing is mapped at the address.</summary>
    NotMapped,

    /// <summary>The memory is a template's, which nothing changes.</summary>
    Frozen,

    /// <summary>The memory cannot be shared: <c>GuestMemory.Freeze</c> and <c>Fork</c> say when.</summary>
    NotShareable,

    /// <summary>The VM's memory was released, or never created.</summary>
    NoMemory,

    /// <summary>The table holds what this layer never puts there: a defect.</summary>
    Defect,
}
