namespace Quietus.Oracle.Programs;

/// <summary>What a program can do.</summary>
public enum Operation : byte
{
    /// <summary>A VM is made where there is none.</summary>
    Create,

    /// <summary>A vCPU enters: the PE loads VTTBR_EL2.</summary>
    Enter,

    /// <summary>The vCPU leaves, and the PE unloads VTTBR_EL2.</summary>
    Leave,

    /// <summary>The guest reads with its caches on.</summary>
    Read,

    /// <summary>The guest writes with its caches on.</summary>
    Write,

    /// <summary>The guest reads with its caches off.</summary>
    ReadUncached,

    /// <summary>The guest writes with its caches off.</summary>
    WriteUncached,

    /// <summary>The guest fetches instructions.</summary>
    Execute,

    /// <summary>A range of pool memory is taken, and its frames freed.</summary>
    UnmapPool,

    /// <summary>The slot of pool memory goes, and comes back empty.</summary>
    ReplaceSlot,

    /// <summary>Dirty logging begins.</summary>
    StartLog,

    /// <summary>The dirty log is read and cleared.</summary>
    ReadLog,

    /// <summary>Dirty logging ends.</summary>
    StopLog,

    /// <summary>Access flags are cleared.</summary>
    Age,

    /// <summary>The VM dies, its vCPUs out.</summary>
    Kill,

    /// <summary>
    /// The VM dies while PEs still have its VTTBR_EL2; they drop it when the root goes or the VMID is invalidated.
    /// </summary>
    KillLate,

    /// <summary>An idle PE zeroes a dirty chunk.</summary>
    Scrub,

    /// <summary>munmap of a page that a driver has pinned, which reads it next.</summary>
    MunmapPinned,

    /// <summary>munmap of a file's page.</summary>
    MunmapFile,

    /// <summary>munmap of anonymous memory: the host's frame is freed.</summary>
    MunmapAnonymous,

    /// <summary>mremap: the page goes to another address of the VMM, which reads it there.</summary>
    Mremap,

    /// <summary>The page is written out by a device that does not snoop.</summary>
    SwapOut,

    /// <summary>The page is copied to another frame.</summary>
    Migrate,

    /// <summary>The protection changes, and the page stays.</summary>
    Protect,

    /// <summary>The file's page is written back.</summary>
    WriteBack,

    /// <summary>A process of the host writes the file's page, through the caches.</summary>
    WriteFile,

    /// <summary>The host moves a page that is mapped read-only, and says so once (the notifier's change_pte).</summary>
    MovePage,

    /// <summary>A range begins to be taken by a caller who may not block: one bounded call.</summary>
    BeginUnmap,

    /// <summary>The next bounded call for that range, or the end of its invalidation.</summary>
    ContinueUnmap,

    /// <summary>
    /// A guest faults, and its PE looks the page up without the memory lock; other steps come before
    /// <see cref="EndFault"/>.
    /// </summary>
    BeginFault,

    /// <summary>The PE takes the lock, and maps what it found if it still may.</summary>
    EndFault,

    /// <summary>A VM elsewhere on the machine takes a VMID, and dies without giving it back.</summary>
    UseVmid,

    /// <summary>A VM becomes a template.</summary>
    Freeze,

    /// <summary>A VM is made out of a template, where there is none.</summary>
    Fork,

    /// <summary>A child begins anew.</summary>
    Reset,
}

/// <summary>One step of a program. Any values do: they are taken by remainder, or nothing is done.</summary>
/// <param name="Operation">What is done.</param>
/// <param name="Pe">By which PE.</param>
/// <param name="Vm">To which VM.</param>
/// <param name="Page">
/// At which page: below 64 the two lowest bits say of which region, from 64 on it is one of the huge file.
/// </param>
/// <param name="Choice">What else there is to choose.</param>
/// <param name="Race">
/// Not 0: other PEs go on in between, at random from this seed. Their guests write, they leave VMs and enter them.
/// </param>
public readonly record struct ProgramStep(Operation Operation, byte Pe, byte Vm, byte Page, byte Choice, ushort Race)
{
    /// <summary>How many operations there are.</summary>
    public const int Operations = (int)Operation.Reset + 1;
}
