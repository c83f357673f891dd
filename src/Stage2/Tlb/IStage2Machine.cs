namespace Quietus.Stage2;

/// <summary>
/// What the architecture lets a machine change without break-before-make (FEAT_BBM, DDI 0487 D8).
/// </summary>
public enum BreakBeforeMakeSupport : byte
{
    /// <summary>Nothing: every change of size or of the contiguous bit breaks first.</summary>
    Level0 = 0,

    /// <summary>Sizes may change by way of the nT bit. The engine does not use it, and breaks.</summary>
    Level1,

    /// <summary>Sizes may change directly, but a PE may answer with a TLB conflict abort. The engine breaks.</summary>
    Level2,

    /// <summary>Level 2 on an implementation that is known never to raise the conflict abort.</summary>
    Level2WithoutAbort,
}

/// <summary>
/// The hardware boundary: everything that the engine does to the world. An implementation is a small struct that is
/// handed to each operation by reference; what it counts, it counts here.
/// <para>
/// TLB operations carry the VMID: a machine whose instructions act on the current VMID makes it current for the time.
/// None of the members orders anything by itself; the engine issues every barrier.
/// </para>
/// </summary>
public interface IStage2Machine
{
    /// <summary>FEAT_S2FWB is there, and HCR_EL2.FWB is set: Stage-2 decides cacheability alone.</summary>
    bool HasForcedWriteBack { get; }

    /// <summary>FEAT_TLBIRANGE.</summary>
    bool HasRangeInvalidation { get; }

    /// <summary>FEAT_TTL: TLB invalidation by address may name the level of the leaf.</summary>
    bool HasLevelHint { get; }

    BreakBeforeMakeSupport BreakBeforeMakeSupport { get; }

    /// <summary>Reads the descriptor at a physical address, in one single-copy atomic access.</summary>
    ulong ReadEntry(Pa entry);

    /// <summary>Writes the descriptor at a physical address, in one single-copy atomic access.</summary>
    void WriteEntry(Pa entry, ulong value);

    /// <summary>
    /// Writes <paramref name="desired"/> where <paramref name="expected"/> still stands, atomically against the
    /// hardware's own update of access and dirty state. False: it did not, and nothing was written.
    /// </summary>
    bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired);

    /// <summary>
    /// Makes certain that the next <paramref name="count"/> calls of <see cref="TakeTable"/> succeed; false when that
    /// cannot be had, and then nothing changed. A reservation is a level to be reached, not a sum: what an earlier one
    /// left over counts.
    /// </summary>
    bool ReserveTables(uint count);

    /// <summary>
    /// A table page out of the reservation: zeroed, the size of the format's granule and aligned to it. Cannot fail.
    /// </summary>
    Pa TakeTable();

    /// <summary>Takes a table page back. No TLB can lead to it any more when this is called.</summary>
    void ReturnTable(Pa table);

    /// <summary>
    /// A root of <paramref name="tables"/> (1 to 16, a power of two) zeroed and contiguous table pages, aligned to
    /// their whole size. False when there is none.
    /// </summary>
    bool TakeRoot(uint tables, out Pa root);

    /// <summary>Takes a root back. No TLB can lead to it any more when this is called.</summary>
    void ReturnRoot(Pa root, uint tables);

    /// <summary>DSB ISHST: the table writes before it are seen by every walk in the Inner Shareable domain.</summary>
    void DsbInnerShareableStores();

    /// <summary>DSB ISH: the TLB invalidations before it are complete.</summary>
    void DsbInnerShareable();

    /// <summary>DSB SY: the cache maintenance before it is complete.</summary>
    void DsbFullSystem();

    void Isb();

    /// <summary>
    /// TLBI IPAS2E1IS: Stage-2 entries, of every level, that translate one IPA.
    /// </summary>
    void InvalidateIpa(Vmid vmid, TlbiIpa ipa);

    /// <summary>TLBI RIPAS2E1IS: Stage-2 entries that translate a range. Only with FEAT_TLBIRANGE.</summary>
    void InvalidateIpaRange(Vmid vmid, TlbiRange range);

    /// <summary>
    /// TLBI VMALLE1IS: Stage-1 entries of the VMID, and those that combine both stages, which invalidation by IPA
    /// need not find (DDI 0487 D8, TLB maintenance).
    /// </summary>
    void InvalidateCombined(Vmid vmid);

    /// <summary>TLBI VMALLS12E1IS: every entry of the VMID, of both stages.</summary>
    void InvalidateVmid(Vmid vmid);

    /// <summary>DC CIVAC on each line of a range.</summary>
    void CleanInvalidateToPoC(Pa start, ulong bytes);

    /// <summary>IC IVAU on each line of a range, or IC IALLUIS where the instruction cache demands it.</summary>
    void InvalidateInstructionCache(Pa start, ulong bytes);
}
