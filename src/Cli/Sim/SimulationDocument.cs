using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Serialization;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>A simulation for programs.</summary>
internal sealed record SimulationDocument(
    SimulationConfiguration Config,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ShardEntry? Shard,
    bool Complete,
    IEnumerable<SimulationRowEntry> Rows,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IEnumerable<AblationEntry>? Ablation)
    : Document(Name)
{
    public const string Name = "quietus.sim/1";

    public static SimulationDocument Of(SimulationRun run) => new(
        SimulationConfiguration.Of(run.Plan),
        ShardEntry.For(run.Plan.Shard, run.Plan.Cases.Count),
        run.IsComplete,
        run.Rows.Select(SimulationRowEntry.Of),
        run.Plan.Ablate
            ? run.Groups.SelectMany(Sim.Ablation.Of, (rows, line) => AblationEntry.Of(rows[0].Request, line))
            : null);
}

/// <summary>All that it takes to repeat the simulation.</summary>
internal sealed record SimulationConfiguration(
    IEnumerable<MachineEntry> Machines,
    IEnumerable<long> MemoryBytes,
    IEnumerable<string> PageSizes,
    IEnumerable<string> Deaths,
    IEnumerable<string> Policies,
    int Vcpus,
    int Seed,
    string Touch,
    double TouchedShare,
    double HugePageShare,
    bool CachesOff,
    bool Interleave,
    bool Ablate,
    string Command)
{
    public static SimulationConfiguration Of(SimulationPlan plan) => new(
        plan.Machines.Select(MachineEntry.Of),
        plan.MemoryBytes,
        plan.Pages.Select(SimulationNames.Of),
        plan.Deaths.Select(SimulationNames.Of),
        plan.Policies.Select(policy => policy.Name),
        plan.Cases[0].Request.Vcpus,
        plan.Cases[0].Request.Seed,
        JsonNamingPolicy.SnakeCaseLower.ConvertName(plan.Cases[0].Request.Touch.ToString()),
        plan.Cases[0].Request.Touched,
        plan.Cases[0].Request.HugePageShare,
        plan.Cases[0].Request.CachesOff,
        plan.Cases[0].Request.Interleave,
        plan.Ablate,
        plan.Command);
}

/// <summary>One death.</summary>
internal sealed record SimulationRowEntry(
    string Machine,
    ulong MemoryBytes,
    string PageSize,
    string Die,
    string Policy,
    [property: JsonPropertyName("mapped_pages_4k")] long MappedPages,
    [property: JsonPropertyName("mapped_blocks_2m")] long MappedBlocks2M,
    double DeathNs,
    double CmoNs,
    double TlbiNs,
    double WalkNs,
    double FreeNs,
    double OtherNs,
    long TlbiIpa,
    long TlbiRange,
    long TlbiVmid,
    [property: JsonPropertyName("tlbi_vmalle1")] long TlbiVmalle1,
    long DcLines,
    long Dsb,
    [property: JsonPropertyName("mapped_blocks_1g")] long MappedBlocks1G,
    long TablePages,
    double HostFreeNs,
    double FillNs,
    double VictimNs)
{
    public static SimulationRowEntry Of(SimulationRow row) => new(
        row.Request.Machine.Name,
        row.Request.MemoryBytes,
        SimulationNames.Of(row.Request.Pages),
        SimulationNames.Of(row.Request.Death),
        row.Policy.Name,
        row.Result.MappedPages4K,
        row.Result.MappedBlocks2M,
        Document.Rounded(row.Result.DeathNanoseconds),
        row.Result.Death.Time.CachePicoseconds / 1000.0,
        row.Result.Death.Time.TlbiPicoseconds / 1000.0,
        row.Result.Death.Time.WalkPicoseconds / 1000.0,
        row.Result.Death.Time.TableFreePicoseconds / 1000.0,
        row.Result.Death.Time.OtherPicoseconds / 1000.0,
        row.Result.Death.Counts.TlbiIpa,
        row.Result.Death.Counts.TlbiRange,
        row.Result.Death.Counts.TlbiVmid,
        row.Result.Death.Counts.TlbiVmalle1,
        row.Result.Death.Counts.DcLines,
        row.Result.Death.Counts.Dsb,
        row.Result.MappedBlocks1G,
        row.Result.TablePages,
        Document.Rounded(row.Result.HostFreeNanoseconds),
        Document.Rounded(row.Result.FillNanoseconds),
        Document.Rounded(row.Result.VictimNanoseconds));
}

/// <summary>One choice of patches.</summary>
internal sealed record AblationEntry(
    string Machine,
    ulong MemoryBytes,
    string PageSize,
    string Die,
    string Patches,
    double DeathNs,
    double SavedNs,
    double FillNs)
{
    public static AblationEntry Of(SimulationRequest request, AblationLine line) => new(
        request.Machine.Name,
        request.MemoryBytes,
        SimulationNames.Of(request.Pages),
        SimulationNames.Of(request.Death),
        line.Name,
        Document.Rounded(line.DeathNanoseconds),
        Document.Rounded(line.SavedNanoseconds),
        Document.Rounded(line.FillNanoseconds));
}
