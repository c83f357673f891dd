using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;

namespace Quietus.Cli.Bench;

/// <summary>The result for programs.</summary>
internal sealed record BenchDocument(
    BenchConfiguration Config,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ShardEntry? Shard,
    IEnumerable<BenchRowEntry> Rows,
    PrimitivesEntry Primitives,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] KvmEntry? Kvm,
    IEnumerable<Target> Targets,
    IEnumerable<string> Notes,
    long WallNs,
    bool Complete) : Document(Name)
{
    public const string Name = "quietus.bench/1";

    public static BenchDocument Of(BenchResult result) => new(
        BenchConfiguration.Of(result),
        ShardEntry.For(result.Plan.Shard, result.Plan.Cases.Count),
        result.Rows.Select(row => BenchRowEntry.Of(result.Plan, row)),
        PrimitivesEntry.Of(result.Primitives),
        result.Kvm is { } kvm ? KvmEntry.Of(result, kvm) : null,
        Bench.Targets.Judge(result),
        result.Notes,
        result.WallNanoseconds,
        result.IsComplete);
}

/// <summary>All that it takes to repeat the run.</summary>
internal sealed record BenchConfiguration(
    string Cpu,
    int Cpus,
    IEnumerable<GuestEntry> Guests,
    IEnumerable<long> MemoryBytes,
    IEnumerable<string> PageSizes,
    IEnumerable<string> Policies,
    IEnumerable<string> Ways,
    string UnmapFate,
    int Jobs,
    double TimeoutSeconds,
    string QemuVersion,
    string QemuVersionLine,
    IEnumerable<string> Icount,
    string QemuCommand,
    string HypervisorVersion,
    [property: JsonPropertyName("image_sha256")] string ImageHash,
    [property: JsonPropertyName("model_d05")] MachineEntry Model,
    FramesEntry Frames,
    string Command)
{
    public static BenchConfiguration Of(BenchResult result) => new(
        result.Plan.Cpu.Name,
        result.Plan.Cpus,
        result.Plan.Guests.Select(GuestEntry.Of),
        result.Plan.MemoryBytes,
        result.Plan.Pages,
        result.Plan.Policies.Select(policy => policy.Name),
        BenchPlan.Ways.Select(way => way.Name()),
        result.Plan.Fate.Name(),
        result.Plan.Jobs,
        result.Plan.Limit.TotalSeconds,
        result.Qemu.Version,
        result.Qemu.VersionLine,
        QemuMachine.CountingOptions,
        result.QemuCommand,
        result.HypervisorVersion,
        result.ImageSha256,
        MachineEntry.Of(D05Model.Machine),
        FramesEntry.Of(result),
        result.Command);
}

internal sealed record GuestEntry(string Guest, string Description)
{
    public static GuestEntry Of(GuestPayload guest) => new(guest.Name, guest.Description);
}

/// <summary>What came over the monitor's wire.</summary>
internal sealed record FramesEntry(
    long Received,
    long Damaged,
    long Lost)
{
    public static FramesEntry Of(BenchResult result) => new(
        result.FramesReceived,
        result.FramesDamaged,
        result.FramesLost);
}

/// <summary>One death.</summary>
internal sealed record BenchRowEntry(
    string Guest,
    long MemoryBytes,
    string PageSize,
    string Policy,
    string Way,
    [property: JsonPropertyName("mapped_pages_4k")] long MappedPages,
    [property: JsonPropertyName("mapped_blocks_2m")] long MappedBlocks,
    long Instructions,
    long TlbiIpa,
    long TlbiRange,
    long TlbiVmid,
    [property: JsonPropertyName("tlbi_vmalle1")] long TlbiVmalle1,
    long DcLines,
    long Dsb,
    long WallNs,
    long StopInstructions,
    long VirtualNs,
    long FreedBytes,
    double? PerPageInstructions,
    [property: JsonPropertyName("model_d05_ns")] double ModelNs,
    long LifeExits,
    long LifeFaultExits,
    double? LifeMapCalls,
    double? LifeMapInstructions)
{
    public static BenchRowEntry Of(BenchPlan plan, BenchRow row) => new(
        row.Case.Guest.Name,
        row.Case.MemoryBytes,
        row.Case.Pages,
        row.Case.Policy.Name,
        row.Case.Way.Name(),
        row.Death.MappedPages4K,
        row.Death.MappedBlocks2M,
        row.Death.Instructions,
        row.Death.TlbiIpa,
        row.Death.TlbiRange,
        row.Death.TlbiVmid,
        row.Death.TlbiVmalle1,
        row.Death.DcLines,
        row.Death.Dsb,
        row.WallNanoseconds,
        row.Death.StopInstructions,
        row.Death.VirtualNanoseconds,
        row.Death.FreedBytes,
        Document.Rounded(row.InstructionsPerEntry),
        Math.Round(D05Model.Nanoseconds(plan, row)),
        row.Life.Exits,
        row.Life.FaultExits,
        Document.Rounded(row.Life.MapCalls),
        Document.Rounded(row.Life.MapInstructions));
}

/// <summary>What an exit costs; null where it was not measured.</summary>
internal sealed record PrimitivesEntry(
    double? HvcRoundTripInstructions,
    double? DemandFaultInstructions,
    double? MapPageInstructions)
{
    public static PrimitivesEntry Of(Primitives primitives) => new(
        Document.Rounded(primitives.HvcRoundTrip),
        Document.Rounded(primitives.DemandFault),
        Document.Rounded(primitives.MapPage));
}
