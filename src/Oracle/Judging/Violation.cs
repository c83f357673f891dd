using System;

namespace Quietus.Oracle.Judging;

/// <summary>The rules, by what a broken one is called.</summary>
public enum ViolationKind : byte
{
    None = 0,

    /// <summary>A reader may get bytes that are older than what it must see.</summary>
    StaleData,

    /// <summary>A reader may get bytes that belong to another party, or did.</summary>
    ForeignData,

    /// <summary>A fetch may run old instructions.</summary>
    StaleInstructions,

    /// <summary>A call returned, and a PE may still use what it took away.</summary>
    StaleTranslation,

    /// <summary>A table page is free, and a PE may still walk it.</summary>
    TableFreedInUse,

    /// <summary>A frame is free, and a PE may still reach it.</summary>
    FrameFreedInUse,

    /// <summary>A live descriptor became a different one without break, invalidation and DSB in between.</summary>
    BreakBeforeMake,

    /// <summary>A VMID was given on while a TLB may hold entries of its last owner.</summary>
    VmidReused,

    /// <summary>Software walks a page that is no table.</summary>
    WalkOfFreedTable,

    /// <summary>An update by hardware was overwritten.</summary>
    LostUpdate,

    /// <summary>A walk or a guest may come to a table or a page before what was written there is visible.</summary>
    Unpublished,

    /// <summary>A frame is mapped from two places, or a shared one writable, and nothing declared that.</summary>
    UndeclaredSharing,

    /// <summary>A guest's access may be served from what another vCPU's Stage-1 left in the PE's TLB.</summary>
    OtherVcpusEntry,

    /// <summary>
    /// The engine says itself that something is wrong. No event of a trace shows it: only its program does.
    /// </summary>
    EngineDefect,
}

/// <summary>A rule that was broken, and who can see it.</summary>
/// <param name="Kind">The rule.</param>
/// <param name="Consumer">Who may read, walk or run what it must not; the same for the same kind of reader.</param>
/// <param name="Text">The whole sentence, for people.</param>
public sealed record Violation(ViolationKind Kind, string Consumer, string Text)
{
    /// <summary>What a reader of bytes may see; nothing where the rule is about translations.</summary>
    public PageVersion Seen { get; init; }

    /// <summary>What was written last.</summary>
    public PageVersion Expected { get; init; }
}

/// <summary>What a page held at some time.</summary>
/// <param name="Sequence">When it was written, in the judge's numbers, which rise; 0 for none.</param>
/// <param name="Writer">Who wrote it.</param>
/// <param name="Owner">Whose bytes they are.</param>
public readonly record struct PageVersion(ulong Sequence, string Writer, string Owner);

/// <summary>Ends a program at its first violation: what comes after means nothing.</summary>
public sealed class ViolationException(Violation violation) : Exception(violation.Text)
{
    public Violation Violation { get; } = violation;
}
