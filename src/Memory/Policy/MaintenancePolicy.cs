namespace Quietus.Memory;

/// <summary>
/// Which maintenance a VM's memory issues, selectable at run time so that every step of the series can be
/// measured and checked against the others. What each one does is the table in <see cref="PolicyRules"/>.
/// </summary>
public enum MaintenancePolicy : byte
{
    /// <summary>
    /// The default. Page fate decides about caches; TLB invalidation is batched; unlink, invalidate, DSB, free.
    /// </summary>
    Fate,

    /// <summary>Linux 5.5: every leaf and every emptied table on its own, every line cleaned and invalidated.</summary>
    BeforeSeries,

    /// <summary>Patch 5 alone: whole-VM release elides both kinds and ends in one invalidation of the VMID.</summary>
    Patch5,

    /// <summary>Patch 6 alone: replacing a table by a block elides cache maintenance.</summary>
    Patch6,

    /// <summary>
    /// Patch 7 alone, as posted: a notifier's unmap event elides cache maintenance. Unsound: see <see cref="Elision"/>.
    /// </summary>
    Patch7,

    /// <summary>Patches 5, 6 and 7 together, as posted.</summary>
    Series,

    /// <summary>
    /// As <see cref="Fate"/>, but a dead VM's tables are freed one by one: the step before constant time.
    /// </summary>
    TablesOnly,
}
