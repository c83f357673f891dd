using System.IO;
using System.Linq;
using System.Text.Json;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary>The result for programs: schema <c>quietus.replay/1</c>.</summary>
internal static class ReplayJson
{
    public const string Schema = "quietus.replay/1";

    /// <summary>Writes the document.</summary>
    public static void Write(Stream stream, ReplayResult result) => ResultJson.Write(stream, Schema, json =>
    {
        json.WriteStartObject("config");
        json.WriteString("trace", result.File);
        ResultJson.WriteArray(json, "policies", result.Policies.Select(policy => policy.Name));
        json.WriteString("cause", result.Cause.Name);
        MachineJson.Write(json, result.Machines);
        json.WriteString("command", result.Command);
        json.WriteEndObject();
        WriteTrace(json, result.Trace);
        json.WriteStartArray("rows");
        foreach (ReplayRow row in result.Rows)
        {
            json.WriteStartObject();
            json.WriteString("machine", row.Machine.Name);
            json.WriteString("policy", row.Policy.Name);
            WritePhase(json, "map", row.Mapping);
            WritePhase(json, "unmap", row.Unmapping);
            WritePhase(json, "death", row.Death);
            json.WriteNumber("refused_maps", row.Refused);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("differences");
        foreach (Difference difference in Difference.Find(result.Trace, result.Rows))
        {
            json.WriteStartObject();
            json.WriteString("name", difference.Name);
            json.WriteString("explanation", difference.Explanation);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        ResultJson.WriteArray(json, "notes", ReplayTable.Notes(result));
    });

    private static void WriteTrace(Utf8JsonWriter json, HostTrace trace)
    {
        json.WriteStartObject("traced");
        json.WriteNumber("lines", trace.Counts.Lines);
        json.WriteNumber("used_events", trace.Counts.Used);
        json.WriteNumber("other_events", trace.Counts.OtherEvents);
        json.WriteNumber("foreign_lines", trace.Counts.Foreign);
        json.WriteNumber("lost_events", trace.Counts.Lost);
        json.WriteNumber("guest_faults", trace.GuestFaults);
        json.WriteNumber(
            "maps", trace.Operations.LongCount(operation => operation.Kind == TraceOperationKind.Map));
        json.WriteNumber("unmap_ns", trace.UnmapNanoseconds);
        json.WriteNumber("death_ns", trace.DeathNanoseconds);
        WriteMaintenance(json, "map", trace.Mapping);
        WriteMaintenance(json, "unmap", trace.Unmapping);
        WriteMaintenance(json, "death", trace.Death);
        WriteMaintenance(json, "other", trace.Other);
        json.WriteEndObject();
    }

    private static void WriteMaintenance(Utf8JsonWriter json, string name, TracedMaintenance maintenance)
    {
        json.WriteStartObject(name);
        json.WriteNumber("leaf_tlbi", maintenance.LeafTlbi);
        json.WriteNumber("table_tlbi", maintenance.TableTlbi);
        json.WriteNumber("tlbi_range", maintenance.RangeTlbi);
        json.WriteNumber("tlbi_vmid", maintenance.VmidTlbi);
        json.WriteNumber("cleanings", maintenance.Cleanings);
        json.WriteNumber("cleaned_bytes", maintenance.CleanedBytes);
        json.WriteEndObject();
    }

    private static void WritePhase(Utf8JsonWriter json, string name, ReplayPhase phase)
    {
        json.WriteStartObject(name);
        json.WriteNumber("leaves", phase.Leaves);
        json.WriteNumber("tables", phase.Tables);
        BillJson.WriteCounts(json, phase.Bill.Counts);
        ResultJson.WriteNanoseconds(json, "total_ns", phase.Nanoseconds);
        BillJson.WriteTimes(json, phase.Bill.Time);
        json.WriteEndObject();
    }
}
