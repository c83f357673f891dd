using Quietus.Stage2;

namespace Quietus.Oracle.Machines;

/// <summary>The TLB invalidations that the machine boundary has.</summary>
public enum TlbiKind : byte
{
    /// <summary>IPAS2E1IS and RIPAS2E1IS: Stage-2 entries of an IPA range.</summary>
    Ipa,

    /// <summary>IPAS2LE1IS and RIPAS2LE1IS: of an IPA range, last-level entries only. The engine issues none.</summary>
    IpaLastLevel,

    /// <summary>VMALLE1IS: entries that combine both stages.</summary>
    Combined,

    /// <summary>VMALLS12E1IS.</summary>
    Vmid,

    /// <summary>ALLE1IS.</summary>
    All,
}

/// <summary>The barriers.</summary>
public enum BarrierKind : byte
{
    /// <summary>DSB ISHST: completes writes, not invalidations.</summary>
    InnerShareableStores,

    /// <summary>DSB ISH.</summary>
    InnerShareable,

    /// <summary>DSB SY.</summary>
    FullSystem,

    /// <summary>
    /// DSB NSH: completes TLBIs that reach the issuing PE alone; no other PE's view of anything waits for it.
    /// </summary>
    NonShareable,
}

/// <summary>Cache maintenance by address.</summary>
public enum CacheKind : byte
{
    /// <summary>DC CVAC.</summary>
    Clean,

    /// <summary>DC CIVAC.</summary>
    CleanInvalidate,

    /// <summary>IC IVAU.</summary>
    Instruction,
}

/// <summary>
/// Is told what an <see cref="ObservedMachine{TMachine, TObserver}"/> does, after the inner machine has done it. A
/// small struct; copies mean the same observer.
/// </summary>
public interface IMachineObserver
{
    /// <summary>Software reads an entry.</summary>
    void Read(Pa entry);

    /// <summary>Software has written an entry.</summary>
    void Wrote(Pa entry, ulong value);

    /// <summary>TLB invalidation was issued; it completes at the issuing PE's next DSB ISH or SY.</summary>
    void Invalidates(TlbiKind kind, Vmid vmid, Ipa start, ulong bytes, int levelHint);

    /// <summary>A barrier completed.</summary>
    void Completes(BarrierKind kind);

    /// <summary>Cache maintenance was issued; it completes at the issuing PE's next DSB.</summary>
    void Maintains(CacheKind kind, Pa start, ulong bytes);

    /// <summary>Zeroes were written through the caches.</summary>
    void Zeroed(Pa start, ulong bytes);

    /// <summary>Guest memory was copied through the caches.</summary>
    void Copied(Pa target, Pa source, ulong bytes);

    /// <summary>Table pages were handed out.</summary>
    void TookTables(Pa first, uint count);

    /// <summary>Table pages are about to be given back.</summary>
    void ReturnsTables(Pa first, uint count);

    /// <summary>The pool was asked for, so that frames may have gone back since, or may go from now on.</summary>
    void TouchesPool();
}
