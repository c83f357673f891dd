using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>The result for programs: schema <c>quietus.sim/1</c>.</summary>
internal static class SimulationJson
{
    public const string Schema = "quietus.sim/1";

    /// <summary>Writes the document.</summary>
    public static void Write(Stream stream, SimulationRun run) => ResultJson.Write(stream, Schema, json =>
    {
        WriteConfiguration(json, run.Plan);
        json.WriteBoolean("complete", run.IsComplete);
        json.WriteStartArray("rows");
        foreach (SimulationRow row in run.Rows)
        {
            WriteRow(json, row);
        }

        json.WriteEndArray();
        if (run.Plan.Ablate)
        {
            WriteAblation(json, run);
        }
    });

    private static void WriteConfiguration(Utf8JsonWriter json, SimulationPlan plan)
    {
        json.WriteStartObject("config");
        MachineJson.Write(json, plan.Machines);
        json.WriteStartArray("memory_bytes");
        foreach (long memory in plan.MemoryBytes)
        {
            json.WriteNumberValue(memory);
        }

        json.WriteEndArray();
        SimulationRequest request = plan.Cases[0].Request;
        ResultJson.WriteArray(json, "page_sizes", plan.Pages.Select(SimulationNames.Of));
        ResultJson.WriteArray(json, "deaths", plan.Deaths.Select(SimulationNames.Of));
        ResultJson.WriteArray(json, "policies", plan.Policies.Select(policy => policy.Name));
        json.WriteNumber("vcpus", request.Vcpus);
        json.WriteNumber("seed", request.Seed);
        json.WriteString("touch", JsonNamingPolicy.SnakeCaseLower.ConvertName(request.Touch.ToString()));
        json.WriteNumber("touched_share", request.Touched);
        json.WriteNumber("huge_page_share", request.HugePageShare);
        json.WriteBoolean("caches_off", request.CachesOff);
        json.WriteBoolean("interleave", request.Interleave);
        json.WriteBoolean("ablate", plan.Ablate);
        json.WriteString("command", plan.Command);
        json.WriteEndObject();
    }

    private static void WriteRow(Utf8JsonWriter json, SimulationRow row)
    {
        SimulationResult result = row.Result;
        json.WriteStartObject();
        json.WriteString("machine", row.Request.Machine.Name);
        json.WriteNumber("memory_bytes", row.Request.MemoryBytes);
        json.WriteString("page_size", SimulationNames.Of(row.Request.Pages));
        json.WriteString("die", SimulationNames.Of(row.Request.Death));
        json.WriteString("policy", row.Policy.Name);
        json.WriteNumber("mapped_pages_4k", result.MappedPages4K);
        json.WriteNumber("mapped_blocks_2m", result.MappedBlocks2M);
        ResultJson.WriteNanoseconds(json, "death_ns", result.DeathNanoseconds);
        BillJson.WriteTimes(json, result.Death.Time);
        BillJson.WriteCounts(json, result.Death.Counts);
        json.WriteNumber("mapped_blocks_1g", result.MappedBlocks1G);
        json.WriteNumber("table_pages", result.TablePages);
        ResultJson.WriteNanoseconds(json, "host_free_ns", result.HostFreeNanoseconds);
        ResultJson.WriteNanoseconds(json, "fill_ns", result.FillNanoseconds);
        ResultJson.WriteNanoseconds(json, "victim_ns", result.VictimNanoseconds);
        json.WriteEndObject();
    }

    private static void WriteAblation(Utf8JsonWriter json, SimulationRun run)
    {
        json.WriteStartArray("ablation");
        foreach (IReadOnlyList<SimulationRow> rows in run.Groups)
        {
            foreach (AblationLine line in Ablation.Of(rows))
            {
                json.WriteStartObject();
                json.WriteString("machine", rows[0].Request.Machine.Name);
                json.WriteNumber("memory_bytes", rows[0].Request.MemoryBytes);
                json.WriteString("page_size", SimulationNames.Of(rows[0].Request.Pages));
                json.WriteString("die", SimulationNames.Of(rows[0].Request.Death));
                json.WriteString("patches", line.Name);
                ResultJson.WriteNanoseconds(json, "death_ns", line.DeathNanoseconds);
                ResultJson.WriteNanoseconds(json, "saved_ns", line.SavedNanoseconds);
                ResultJson.WriteNanoseconds(json, "fill_ns", line.FillNanoseconds);
                json.WriteEndObject();
            }
        }

        json.WriteEndArray();
    }
}
