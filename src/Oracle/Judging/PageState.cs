namespace Quietus.Oracle.Judging;

/// <summary>
/// What the caches and memory may hold of one page, as the oldest contents that each kind of reader may see. Contents
/// are <em>versions</em>: numbers that rise with every write, and carry who wrote and whose bytes they are.
/// <para>
/// The page stands for each of its lines: maintenance counts only where it covers the whole page. Any line may be
/// filled or written back at any time, for the hypervisor has everything mapped cacheable.
/// </para>
/// </summary>
internal struct PageState
{
    /// <summary>What the last write in program order left.</summary>
    public ulong Latest;

    /// <summary>The oldest version that a reader through the caches may see.</summary>
    public ulong CoherentOldest;

    /// <summary>The oldest version that may be at the Point of Coherency.</summary>
    public ulong PocOldest;

    /// <summary>The oldest version that may be dirty in a cache; 0 when none is.</summary>
    public ulong DirtyOldest;

    /// <summary>What every reader must at least see.</summary>
    public ulong Baseline;

    /// <summary>The oldest version that a guest itself put at risk by mixed accesses; 0 when none.</summary>
    public ulong GuestRisked;

    /// <summary>The oldest version that an instruction cache may hold; 0 when none.</summary>
    public ulong InstructionOldest;

    /// <summary>What every fetch must at least see.</summary>
    public ulong InstructionBaseline;

    /// <summary>What was copied by somebody who goes by a dirty log from then on; 0 when nothing was.</summary>
    public ulong Copied;

    /// <summary>Whose the page is: a party's number.</summary>
    public ushort Owner;

    /// <summary>Leaves that map it.</summary>
    public ushort Mappings;

    /// <summary>The call that touched it last.</summary>
    public int Call;

    public bool IsPool;

    /// <summary>A leaf that let guests fetch from it was there when <see cref="Call"/> first touched it.</summary>
    public bool WasExecutable;
}

/// <summary>Versions: a sequence number above the writer above the owner, so that order is age.</summary>
internal static class Version
{
    public const int PartyBits = 14;

    public static ulong Of(ulong sequence, int writer, int owner) =>
        (sequence << (2 * PartyBits)) | ((ulong)(uint)writer << PartyBits) | (uint)owner;

    public static int Writer(ulong version) => (int)(version >> PartyBits) & ((1 << PartyBits) - 1);

    public static int Owner(ulong version) => (int)version & ((1 << PartyBits) - 1);
}
