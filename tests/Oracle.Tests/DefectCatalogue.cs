using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Oracle.Judging;

namespace Quietus.Oracle.Tests;

/// <summary>A known bug: what it is, where it is from, and which rule has to find it.</summary>
/// <param name="Number">As in docs/oracle-defects.md.</param>
/// <param name="What">The bug in a line.</param>
/// <param name="Source">A commit of Linux, a syzbot report, a CVE, or the review of the series.</param>
/// <param name="Rule">What a search must come to.</param>
/// <param name="Reader">Who must find it.</param>
/// <param name="Also">Rules that may find it before that, for the same reason.</param>
internal sealed record KnownDefect(
    Defect Defect, string Number, string What, string Source, ViolationKind Rule, string Reader,
    params ViolationKind[] Also)
{
    /// <summary>Policies under which the engine has the code that is wrong.</summary>
    public IReadOnlyList<MaintenancePolicy> Policies { get; init; } =
        [MaintenancePolicy.Fate, MaintenancePolicy.BeforeSeries];

    /// <summary>Whether programs are to be about templates and children.</summary>
    public bool Forks { get; init; }

    /// <summary>Whether a violation is what this defect must come to.</summary>
    public bool IsFoundBy(Violation violation) =>
        violation.Kind == Rule && violation.Consumer == Reader;

    /// <summary>Whether a violation is right for this defect at all.</summary>
    public bool Explains(Violation violation) => violation.Kind == Rule || Also.Contains(violation.Kind);
}

/// <summary>All of them, in the order of their numbers.</summary>
internal static class DefectCatalogue
{
    private static readonly MaintenancePolicy[] _fate = [MaintenancePolicy.Fate];
    private static readonly MaintenancePolicy[] _eager = [MaintenancePolicy.BeforeSeries];

    /// <summary>What may come first where nothing is invalidated: whichever the program gets to.</summary>
    private static readonly ViolationKind[] _anyTlb =
    [
        ViolationKind.StaleTranslation, ViolationKind.TableFreedInUse, ViolationKind.FrameFreedInUse,
        ViolationKind.BreakBeforeMake, ViolationKind.VmidReused,
    ];

    public static IReadOnlyList<KnownDefect> All { get; } =
    [
        new(Defect.UnmapWithoutTlbi, "1", "unmap without TLBI", "DDI 0487 D8, TLB maintenance",
            ViolationKind.FrameFreedInUse, "the guest", _anyTlb),
        new(Defect.TlbiWithoutDsb, "2", "TLBI without its DSB", "DDI 0487 D8, TLB maintenance",
            ViolationKind.FrameFreedInUse, "the guest", _anyTlb),
        new(Defect.IpaWithoutCombined, "3", "IPAS2E1IS without VMALLE1IS", "DDI 0487 D8, TLB maintenance",
            ViolationKind.FrameFreedInUse, "the guest", _anyTlb),
        new(Defect.LocalScope, "4", "TLBI of the issuing PE only", "DDI 0487 D8, TLB maintenance",
            ViolationKind.FrameFreedInUse, "the guest", _anyTlb),
        new(Defect.RangeScaleUnderflow, "5", "range TLBI: the scale underflows, nothing is flushed",
            "Linux e3ba51ab24fd", ViolationKind.StaleTranslation, "the guest", ViolationKind.FrameFreedInUse,
            ViolationKind.TableFreedInUse) { Policies = _fate },
        new(Defect.TlbiDeferredPastTableFree, "6", "TLBI put off to the end of the range, tables freed before",
            "Linux f62d4c3eb687", ViolationKind.TableFreedInUse, "a table walk", ViolationKind.BreakBeforeMake),
        new(Defect.LevelHintOfTable, "7a", "TTL of the entry's level where a table was unlinked",
            "Linux 36e008323926", ViolationKind.TableFreedInUse, "a table walk", ViolationKind.StaleTranslation)
            { Policies = _eager },
        new(Defect.LevelZeroHint, "7b", "range TLBI that names a level where nothing is mapped",
            "Linux 0f0ff097bf77", ViolationKind.FrameFreedInUse, "the guest", ViolationKind.StaleTranslation,
            ViolationKind.TableFreedInUse) { Policies = _fate },
        new(Defect.TableFreedBeforeTlbi, "8", "a table is freed before the TLBI", "patch 5's order, on a live VM",
            ViolationKind.TableFreedInUse, "a table walk") { Policies = _eager },
        new(Defect.SubtreeFreedThenWalked, "9", "a block replaces a table; the walk goes on in what it freed",
            "Linux a9f0e3d5a089 (6.4)", ViolationKind.WalkOfFreedTable, "the hypervisor"),
        new(Defect.PartialRangeDropsTable, "10", "destroyed in parts: a table goes with its first part",
            "syzbot c41f3ddb8299a30a98b5", ViolationKind.WalkOfFreedTable, "the hypervisor"),
        new(Defect.VmidReusedBeforeDsb, "11", "VMID given on before the DSB", "DDI 0487 D8, VMID",
            ViolationKind.VmidReused, "a guest") { Policies = _fate },
        new(Defect.TlbiAfterVmidReused, "12", "TLBI of a VMID after the next VM entered with it",
            "DDI 0487 D8, VMID", ViolationKind.VmidReused, "a guest") { Policies = _fate },
        new(Defect.DeathWithoutTlbi, "13", "VM destroyed, TLB not invalidated, memory given on",
            "patch 5's licence", ViolationKind.TableFreedInUse, "a guest", ViolationKind.FrameFreedInUse,
            ViolationKind.VmidReused),
        new(Defect.FramesReusedWhileVcpuRuns, "14", "memory reused while a vCPU still runs",
            "patch 5's licence", ViolationKind.TableFreedInUse, "a guest", ViolationKind.FrameFreedInUse),
        new(Defect.ReplacedWithoutBreak, "15", "a block replaced by another block without a break",
            "DDI 0487 D8, break-before-make", ViolationKind.BreakBeforeMake, "a TLB"),
        new(Defect.SwapOutWithoutCaches, "16", "no CMO at swap-out to a device that does not snoop",
            "patch 3's licence", ViolationKind.StaleData, "a device that does not snoop"),
        new(Defect.FileUnmapWithoutCaches, "17", "no CMO at munmap of a file's page written uncached",
            "review of patch 7", ViolationKind.StaleData, "write-back") { Policies = _fate },
        new(Defect.SharedUnmapWithoutCaches, "18", "no CMO at munmap of a page that another VM maps",
            "review of patch 7", ViolationKind.StaleData, "another VM that still maps it") { Policies = _fate },
        new(Defect.RemapWithoutCaches, "19", "no CMO at mremap", "review of patch 7",
            ViolationKind.StaleData, "the process that remapped it"),
        new(Defect.CleanWithoutInvalidate, "20", "clean, not invalidated, after uncached guest writes",
            "review of patch 7", ViolationKind.StaleData, "the process that remapped it"),
        new(Defect.MappedWithoutClean, "21", "a new page is mapped, its zeroes only in the cache",
            "DDI 0487 B2, mismatched attributes", ViolationKind.ForeignData, "the VM itself",
            ViolationKind.StaleData),
        new(Defect.InstructionsNotInvalidated, "22", "executable without IC, CTR_EL0.DIC clear",
            "DDI 0487 B2, CTR_EL0.DIC", ViolationKind.StaleInstructions, "the VM itself"),
        new(Defect.UnscrubbedChunk, "23", "a dead VM's chunk given on unscrubbed", "the pool's contract",
            ViolationKind.ForeignData, "the VM itself", ViolationKind.WalkOfFreedTable),
        new(Defect.StaleCopyWritten, "24", "a stale copy of a leaf is written over AF set by hardware",
            "DDI 0487 D8, hardware updates", ViolationKind.LostUpdate, "page aging"),
        new(Defect.DirtyBitLost, "25", "pages copied between the write protection and its TLBI",
            "the contract of a dirty log", ViolationKind.LostUpdate, "the migration"),
        new(Defect.EarlyCompletion, "26", "TLBI; DSB that completes early, not repeated", "CVE-2025-10263",
            ViolationKind.FrameFreedInUse, "the guest", _anyTlb),
        new(Defect.FaultComparesAddress, "27", "a fault's block is committed over a range that goes elsewhere in it",
            "this engine, before it compared extents", ViolationKind.FrameFreedInUse, "a guest"),
        new(Defect.RolloverForgetsWhoLeaves, "28", "VMID rollover forgets a PE that leaves between TLBI and DSB",
            "DDI 0487 D8, VMID", ViolationKind.VmidReused, "a guest", _anyTlb),
        new(Defect.SecondVmidForRunningVm, "29", "a VM that runs through a rollover gets a second VMID",
            "DDI 0487 D8, VMID", ViolationKind.FrameFreedInUse, "the guest", _anyTlb),
        new(Defect.TlbiOfLastVmid, "30", "TLBI under the VMID that the VM had before", "Linux dc0dddb1d66d",
            ViolationKind.FrameFreedInUse, "the guest", _anyTlb),
        new(Defect.VttbrBeforeVmid, "31", "VTTBR loaded before its VMID was allocated", "Linux fa808ed4e199",
            ViolationKind.VmidReused, "a guest", _anyTlb),
        new(Defect.EntriesLeftAtBoot, "32", "entries of other VMIDs left at initialisation", "Linux ed49fe5a6fb9",
            ViolationKind.VmidReused, "a guest"),
        new(Defect.InstructionsOfDataInvalidated, "33", "IC only where a page is not executable", "freebsd-src PR 2416",
            ViolationKind.StaleInstructions, "the VM itself"),
        new(Defect.CopiedBehindGuest, "34", "copy on write by the host, the guest's mapping left", "TinyKVM PR 79",
            ViolationKind.FrameFreedInUse, "a guest"),
        new(Defect.AgedEntriesSkipped, "35", "entries without the access flag skipped at removal", "CVE-2022-23033",
            ViolationKind.FrameFreedInUse, "a guest", ViolationKind.EngineDefect),
        new(Defect.FrameFreedWhileMapped, "36", "a frame goes back to the pool and stays mapped", "the pool's contract",
            ViolationKind.UndeclaredSharing, "a guest", ViolationKind.FrameFreedInUse, ViolationKind.EngineDefect),
        new(Defect.UnlinkedTableWritten, "37", "a leaf is changed in a table that is unlinked, before the TLBI",
            "DDI 0487 D8, break-before-make", ViolationKind.BreakBeforeMake, "a TLB", ViolationKind.EngineDefect)
            { Policies = _fate },
        new(Defect.CoresNotedAtWrite, "38", "TLBI of those cores only that had run the VM when the entry was written",
            "DDI 0487 B2.3, completion of writes", ViolationKind.FrameFreedInUse, "the guest", _anyTlb),
        new(Defect.SplitMapsPageTwice, "39", "a block's split maps its last page but one in two places",
            "this engine's loop, one step short", ViolationKind.UndeclaredSharing, "a guest",
            ViolationKind.BreakBeforeMake, ViolationKind.StaleData, ViolationKind.EngineDefect),
        .. Sharing(),
        new(Defect.VcpuLeftForNext, "51a", "a vCPU finds what another one of its VM left on the PE",
            "Linux 94d0e5980d67", ViolationKind.OtherVcpusEntry, "the guest"),
        new(Defect.VcpuNotesItsPe, "51b", "a vCPU is where it was last; who has been there since, it does not ask",
            "Linux 94d0e5980d67, done by halves", ViolationKind.OtherVcpusEntry, "the guest"),
        Fork(Defect.LastPeForgotten, "52", "a break for one PE, the vCPU has been on another",
            ViolationKind.BreakBeforeMake, "a TLB", _anyTlb),
        Fork(Defect.LocalBreakOfTwoVcpus, "53", "a break for one PE, and another vCPU runs",
            ViolationKind.BreakBeforeMake, "a TLB", _anyTlb),
    ];

    private static KnownDefect[] Sharing() =>
    [
        Fork(Defect.FreezeWithoutTlbi, "40", "a freeze without TLBI: the template's PE may write yet",
            ViolationKind.StaleTranslation, "the guest", ViolationKind.UndeclaredSharing),
        Fork(Defect.BreakWithoutTlbi, "41a", "a broken share without TLBI",
            ViolationKind.BreakBeforeMake, "a TLB", _anyTlb),
        Fork(Defect.BreakUnderTemplatesVmid, "41b", "a broken share, TLBI under the template's VMID",
            ViolationKind.BreakBeforeMake, "a TLB", _anyTlb),
        Fork(Defect.BreakOfLeafOnly, "42", "a broken share, walk caches lead to the shared table",
            ViolationKind.BreakBeforeMake, "a TLB", _anyTlb),
        Fork(Defect.TemplateFreedFirst, "43", "a template's memory goes before its children",
            ViolationKind.TableFreedInUse, "a table walk", ViolationKind.FrameFreedInUse),
        Fork(Defect.AccessFlagsLeftClear, "44", "shared tables that hardware may write: access flags left clear",
            ViolationKind.UndeclaredSharing, "a guest"),
        Fork(Defect.CopyNotClean, "45a", "the copy of a shared page is not clean to the PoC",
            ViolationKind.ForeignData, "the VM itself", ViolationKind.StaleData),
        Fork(Defect.FreezeWithoutClean, "45b", "a copy through a stale line: a freeze that does not clean",
            ViolationKind.StaleData, "the hypervisor, copying", ViolationKind.ForeignData),
        Fork(Defect.InstructionsOfSharedPage, "46", "what a child executes first, without IC",
            ViolationKind.StaleInstructions, "the VM itself"),
        Fork(Defect.BreakOfBrokenPage, "47", "two vCPUs break a share at once: the second forgets the first's write",
            ViolationKind.LostUpdate, "the VM itself", ViolationKind.EngineDefect, ViolationKind.StaleInstructions),
        Fork(Defect.BreakOutOfTables, "48", "out of tables half-way through a break: the shared table is written",
            ViolationKind.UndeclaredSharing, "a table walk", ViolationKind.WalkOfFreedTable,
            ViolationKind.EngineDefect),
        Fork(Defect.ChildUnscrubbed, "49", "what a dead child wrote is given on unscrubbed",
            ViolationKind.ForeignData, "the VM itself", ViolationKind.WalkOfFreedTable,
            ViolationKind.BreakBeforeMake),
        Fork(Defect.ChildWithTemplatesVmid, "50", "children run under their template's VMID",
            ViolationKind.VmidReused, "a guest", _anyTlb),
    ];

    private static KnownDefect Fork(
        Defect defect, string number, string what, ViolationKind rule, string reader, params ViolationKind[] also) =>
        new(defect, number, what, "fork.md", rule, reader, also) { Policies = _fate, Forks = true };

    public static KnownDefect Of(Defect defect) => All.First(known => known.Defect == defect);
}
