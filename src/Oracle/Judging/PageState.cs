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

    /// <summary>What was copied by a reader of a dirty log, who goes by the log from then on; 0 for nothing.</summary>
    public ulong Copied;
}

/// <summary>Versions: a sequence number above the writer above the owner, so that order is age.</summary>
internal static class Version
{
    private const int PartyBits = 14;

    public static ulong Of(ulong sequence, int writer, int owner) =>
        (sequence << (2 * PartyBits)) | ((ulong)(uint)writer << PartyBits) | (uint)owner;

    public static ulong Sequence(ulong version) => version >> (2 * PartyBits);

    public static int Writer(ulong version) => (int)(version >> PartyBits) & ((1 << PartyBits) - 1);

    public static int Owner(ulong version) => (int)version & ((1 << PartyBits) - 1);
}
