using System;
using System.IO;
using System.Linq;
using System.Text.Json;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;

namespace Quietus.Cli.Bench;

/// <summary>The result for programs: schema <c>quietus.bench/1</c>.</summary>
internal static class BenchJson
{
    public const string Schema = "quietus.bench/1";

    /// <summary>Writes the document.</summary>
    public static void Write(Stream stream, BenchResult result) => ResultJson.Write(stream, Schema, json =>
    {
        WriteConfiguration(json, result);
        json.WriteStartArray("rows");
        foreach (BenchRow row in result.Rows)
        {
            WriteRow(json, result, row);
        }

        json.WriteEndArray();
        json.WriteStartObject("primitives");
        ResultJson.WriteOptional(json, "hvc_round_trip_instructions", result.Primitives.HvcRoundTrip);
        ResultJson.WriteOptional(json, "demand_fault_instructions", result.Primitives.DemandFault);
        ResultJson.WriteOptional(json, "map_page_instructions", result.Primitives.MapPage);
        json.WriteEndObject();
        if (result.Kvm is { } kvm)
        {
            KvmJson.Write(json, result, kvm);
        }

        json.WriteStartArray("targets");
        foreach (Target target in Targets.Judge(result))
        {
            json.WriteStartObject();
            json.WriteString("name", target.Name);
            json.WriteString("bound", target.Bound);
            json.WriteString("measured", target.Measured);
            json.WriteBoolean("met", target.Met);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        ResultJson.WriteArray(json, "notes", result.Notes);
        json.WriteNumber("wall_ns", result.WallNanoseconds);
        json.WriteBoolean("complete", result.IsComplete);
    });

    private static void WriteConfiguration(Utf8JsonWriter json, BenchResult result)
    {
        BenchPlan plan = result.Plan;
        json.WriteStartObject("config");
        json.WriteString("cpu", plan.Cpu.Name);
        json.WriteNumber("cpus", plan.Cpus);
        json.WriteStartArray("guests");
        foreach (GuestPayload guest in plan.Guests)
        {
            json.WriteStartObject();
            json.WriteString("guest", guest.Name);
            json.WriteString("description", guest.Description);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("memory_bytes");
        foreach (long memory in plan.MemoryBytes)
        {
            json.WriteNumberValue(memory);
        }

        json.WriteEndArray();
        ResultJson.WriteArray(json, "page_sizes", plan.Pages);
        ResultJson.WriteArray(json, "policies", plan.Policies.Select(policy => policy.Name));
        ResultJson.WriteArray(json, "ways", DeathWay.All);
        json.WriteString("unmap_fate", plan.Fate);
        json.WriteNumber("jobs", plan.Jobs);
        json.WriteNumber("timeout_seconds", plan.Limit.TotalSeconds);
        json.WriteString("qemu_version", result.Qemu.Version);
        json.WriteString("qemu_version_line", result.Qemu.VersionLine);
        ResultJson.WriteArray(json, "icount", QemuMachine.CountingOptions);
        json.WriteString("qemu_command", result.QemuCommand);
        json.WriteString("hypervisor_version", result.HypervisorVersion);
        json.WriteString("image_sha256", result.ImageSha256);
        MachineJson.Write(json, "model_d05", D05Model.Machine);
        json.WriteStartObject("frames");
        json.WriteNumber("received", result.FramesReceived);
        json.WriteNumber("damaged", result.FramesDamaged);
        json.WriteNumber("lost", result.FramesLost);
        json.WriteEndObject();
        json.WriteString("command", result.Command);
        json.WriteEndObject();
    }

    private static void WriteRow(Utf8JsonWriter json, BenchResult result, BenchRow row)
    {
        DeathFigures death = row.Death;
        json.WriteStartObject();
        json.WriteString("guest", row.Case.Guest.Name);
        json.WriteNumber("memory_bytes", row.Case.MemoryBytes);
        json.WriteString("page_size", row.Case.Pages);
        json.WriteString("policy", row.Case.Policy.Name);
        json.WriteString("way", row.Case.Way);
        json.WriteNumber("mapped_pages_4k", death.MappedPages4K);
        json.WriteNumber("mapped_blocks_2m", death.MappedBlocks2M);
        json.WriteNumber("instructions", death.Instructions);
        json.WriteNumber("tlbi_ipa", death.TlbiIpa);
        json.WriteNumber("tlbi_range", death.TlbiRange);
        json.WriteNumber("tlbi_vmid", death.TlbiVmid);
        json.WriteNumber("tlbi_vmalle1", death.TlbiVmalle1);
        json.WriteNumber("dc_lines", death.DcLines);
        json.WriteNumber("dsb", death.Dsb);
        json.WriteNumber("wall_ns", row.WallNanoseconds);
        json.WriteNumber("stop_instructions", death.StopInstructions);
        json.WriteNumber("virtual_ns", death.VirtualNanoseconds);
        json.WriteNumber("freed_bytes", death.FreedBytes);
        ResultJson.WriteOptional(json, "per_page_instructions", row.InstructionsPerEntry);
        json.WriteNumber("model_d05_ns", Math.Round(D05Model.Nanoseconds(result.Plan, row)));
        json.WriteNumber("life_exits", row.Life.Exits);
        json.WriteNumber("life_fault_exits", row.Life.FaultExits);
        ResultJson.WriteOptional(json, "life_map_calls", row.Life.MapCalls);
        ResultJson.WriteOptional(json, "life_map_instructions", row.Life.MapInstructions);
        json.WriteEndObject();
    }
}
