using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;
using Quietus.Simulator;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary>A replay for programs.</summary>
internal sealed record ReplayDocument(
    ReplayConfiguration Config,
    TracedEntry Traced,
    IEnumerable<ReplayRowEntry> Rows,
    IEnumerable<Difference> Differences,
    IEnumerable<string> Notes) : Document(Name)
{
    public const string Name = "quietus.replay/1";

    public static ReplayDocument Of(ReplayResult result) => new(
        ReplayConfiguration.Of(result),
        TracedEntry.Of(result.Trace),
        result.Rows.Select(ReplayRowEntry.Of),
        Difference.Find(result.Trace, result.Rows),
        ReplayTable.Notes(result));
}

/// <summary>All that it takes to repeat the replay.</summary>
internal sealed record ReplayConfiguration(
    string Trace,
    IEnumerable<string> Policies,
    string Cause,
    IEnumerable<MachineEntry> Machines,
    string Command)
{
    public static ReplayConfiguration Of(ReplayResult result) => new(
        result.File,
        result.Policies.Select(policy => policy.Name),
        result.Cause.Name,
        result.Machines.Select(MachineEntry.Of),
        result.Command);
}

/// <summary>What the trace holds.</summary>
internal sealed record TracedEntry(
    long Lines,
    long UsedEvents,
    long OtherEvents,
    IEnumerable<OtherEvent> OtherEventNames,
    long OtherEventsUnnamed,
    long ForeignLines,
    long StackLines,
    long LostEvents,
    long EventsWithoutTime,
    [property: JsonPropertyName("kvm_x86")] bool IsX86,
    long GuestFaults,
    long Maps,
    double UnmapNs,
    double DeathNs,
    TracedMaintenanceEntry Map,
    TracedMaintenanceEntry Unmap,
    TracedMaintenanceEntry Death,
    TracedMaintenanceEntry Other)
{
    public static TracedEntry Of(HostTrace trace) => new(
        trace.Counts.Lines,
        trace.Counts.Used,
        trace.Counts.OtherEvents,
        trace.Counts.OtherNames,
        trace.Counts.UnnamedEvents,
        trace.Counts.Foreign,
        trace.Counts.StackLines,
        trace.Counts.Lost,
        trace.Counts.Clockless,
        trace.Counts.IsX86,
        trace.GuestFaults,
        trace.Operations.LongCount(operation => operation.Kind == TraceOperationKind.Map),
        trace.UnmapNanoseconds,
        trace.DeathNanoseconds,
        TracedMaintenanceEntry.Of(trace.Mapping),
        TracedMaintenanceEntry.Of(trace.Unmapping),
        TracedMaintenanceEntry.Of(trace.Death),
        TracedMaintenanceEntry.Of(trace.Other));
}

/// <summary>What the traced kernel issued for one kind of operation.</summary>
internal sealed record TracedMaintenanceEntry(
    long LeafTlbi,
    long TableTlbi,
    long TlbiRange,
    long TlbiVmid,
    long Cleanings,
    long CleanedBytes)
{
    public static TracedMaintenanceEntry Of(TracedMaintenance maintenance) => new(
        maintenance.LeafTlbi,
        maintenance.TableTlbi,
        maintenance.RangeTlbi,
        maintenance.VmidTlbi,
        maintenance.Cleanings,
        maintenance.CleanedBytes);
}

/// <summary>The trace under one policy on one machine.</summary>
internal sealed record ReplayRowEntry(
    string Machine,
    string Policy,
    ReplayPhaseEntry Map,
    ReplayPhaseEntry Unmap,
    ReplayPhaseEntry Death,
    long RefusedMaps)
{
    public static ReplayRowEntry Of(ReplayRow row) => new(
        row.Machine.Name,
        row.Policy.Name,
        ReplayPhaseEntry.Of(row.Mapping),
        ReplayPhaseEntry.Of(row.Unmapping),
        ReplayPhaseEntry.Of(row.Death),
        row.Refused);
}

/// <summary>One kind of operation: what was issued, and what it costs.</summary>
internal sealed record ReplayPhaseEntry(
    long Leaves,
    long Tables,
    long TlbiIpa,
    long TlbiRange,
    long TlbiVmid,
    [property: JsonPropertyName("tlbi_vmalle1")] long TlbiVmalle1,
    long DcLines,
    long Dsb,
    double TotalNs,
    double CmoNs,
    double TlbiNs,
    double WalkNs,
    double FreeNs,
    double OtherNs)
{
    public static ReplayPhaseEntry Of(ReplayPhase phase) => new(
        phase.Leaves,
        phase.Tables,
        phase.Bill.Counts.TlbiIpa,
        phase.Bill.Counts.TlbiRange,
        phase.Bill.Counts.TlbiVmid,
        phase.Bill.Counts.TlbiVmalle1,
        phase.Bill.Counts.DcLines,
        phase.Bill.Counts.Dsb,
        Document.Rounded(phase.Nanoseconds),
        phase.Bill.Time.CachePicoseconds / 1000.0,
        phase.Bill.Time.TlbiPicoseconds / 1000.0,
        phase.Bill.Time.WalkPicoseconds / 1000.0,
        phase.Bill.Time.TableFreePicoseconds / 1000.0,
        phase.Bill.Time.OtherPicoseconds / 1000.0);
}
