using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>What the guest tried, from ESR_EL2 (DDI 0487, D24 "ESR_ELx": EC, WnR, S1PTW).</summary>
public enum AccessKind : byte
{
    /// <summary>A load, or a Stage-1 table walk that only reads.</summary>
    Read,

    /// <summary>A store, an atomic, or a Stage-1 walk that updates the guest's own tables.</summary>
    Write,

    /// <summary>An instruction fetch.</summary>
    Execute,
}

/// <summary>How a fault was answered, and what the caller does next.</summary>
public enum FaultResult : byte
{
    /// <summary>The access will succeed: resume the guest at the same instruction.</summary>
    Mapped,

    /// <summary>
    /// An invalidation of the page is in progress or came in between, another vCPU was faster, or the memory for it is
    /// there in a moment: nothing changed, and the guest faults again if it still has to. Resume it.
    /// </summary>
    Retry,

    /// <summary>No slot is there: device emulation, or an abort for the guest.</summary>
    NoSlot,

    /// <summary>A write to a read-only slot: device emulation, or an abort for the guest.</summary>
    ReadOnly,

    /// <summary>An instruction fetch from a slot of device memory: an abort for the guest.</summary>
    NotExecutable,

    /// <summary>
    /// The slot is the host's: look the page up without the memory lock, say it by
    /// <see cref="FaultTicket.Supply"/>, and commit.
    /// </summary>
    NeedsHostPage,

    /// <summary>From the first of the three steps: fill the page, then commit.</summary>
    Prepared,

    /// <summary>
    /// No frame or no table page is left for this VM, and none is on its way. It cannot go on before memory comes back.
    /// </summary>
    OutOfMemory,

    /// <summary>The supplied page does not fit: misaligned, of no size the format has, or the pool's own.</summary>
    BadPage,

    /// <summary>The VM's memory was released, or never created.</summary>
    NoMemory,

    /// <summary>The table holds what this layer never puts there: a defect.</summary>
    Defect,
}

/// <summary>
/// A fault between its steps: what was faulted on, the invalidation sequence that was read before the page was
/// looked up, and the page. It is committed or abandoned exactly once.
/// </summary>
public struct FaultTicket
{
    internal ulong Sequence;
    internal ulong Address;
    internal ulong Page;
    internal int Slot;
    internal uint Filled;
    internal byte Level;
    internal AccessKind Access;

    /// <summary>The page is the pool's, and goes back to it unless it gets mapped.</summary>
    internal bool IsPoolPage;

    internal bool IsZero;
    internal bool IsSupplied;
    internal bool HostPermitsWrites;

    /// <summary>The faulting address.</summary>
    public readonly Ipa Ipa => new(Address);

    /// <summary>What the guest tried.</summary>
    public readonly AccessKind Kind => Access;

    /// <summary>Names the page that the host has for this fault.</summary>
    /// <param name="page">Its first byte, aligned to the size.</param>
    /// <param name="level">The size, as the level of the leaf that maps it: 3 for a granule page.</param>
    /// <param name="permitsWrites">Whether the host's own mapping is writable now: not to be copied on write.</param>
    public void Supply(Pa page, int level, bool permitsWrites)
    {
        if (!IsPoolPage)
        {
            Page = page.Value;
            Level = (byte)level;
            HostPermitsWrites = permitsWrites;
            IsSupplied = true;
        }
    }
}
