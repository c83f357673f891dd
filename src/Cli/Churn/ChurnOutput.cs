using System;
using System.Globalization;
using System.IO;
using System.Text.Json;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Churn;

/// <summary>A churn for people, within 80 columns, and for programs: schema <c>quietus.churn/1</c>.</summary>
internal static class ChurnOutput
{
    public const string Schema = "quietus.churn/1";

    private const string Dash = "-";

    private static readonly TextColumn<ChurnPhase>[] _phases =
    [
        new("instructions", 17, true, phase => phase.Name.Replace('_', ' ')),
        new("VMs", 9, false, phase => Whole(phase.Count)),
        new("p50", 10, false, phase => Whole(phase.P50)),
        new("p90", 10, false, phase => Whole(phase.P90)),
        new("p99", 10, false, phase => Whole(phase.P99)),
        new("max", 10, false, phase => Whole(phase.Maximum)),
        new("drift", 8, false, phase => phase.Drift?.ToString("+0.0 %;-0.0 %;0.0 %", CultureInfo.InvariantCulture)
            ?? Dash),
    ];

    /// <summary>Writes the table.</summary>
    public static void WriteTable(TextWriter writer, ChurnResult result)
    {
        TextTable.WriteTitle(writer, string.Create(
            CultureInfo.InvariantCulture,
            $"{result.Lives.Count:N0} VMs of 16 to 64 MB in one boot, {result.Plan.Cpu.Name}, lifetime "
            + $"{result.Plan.Lifetime}"));
        TextTable.Write(writer, _phases, result.Phases);
        writer.WriteLine();
        writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{result.BirthsPerVirtualSecond:N0} births and deaths in a virtual second (10^9 instructions)"));
        writer.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{result.LostBytes:N0} bytes lost, {result.RefusedFrees:N0} frees refused, {result.LeakedFrames:N0} "
            + $"frames leaked"));
        TextTable.WriteNote(writer, string.Create(
            CultureInfo.InvariantCulture,
            $"Drift: the last tenth's median against the first's; {Dash} for fewer than "
            + $"{ChurnPhase.LeastForDrift} VMs."));
        if (result.IsInterrupted)
        {
            TextTable.WriteNote(writer, string.Create(
                CultureInfo.InvariantCulture,
                $"Interrupted: {result.Lives.Count:N0} of {result.Plan.Count:N0} VMs were born and died."));
        }
    }

    /// <summary>Writes the document.</summary>
    public static void WriteJson(Stream stream, ChurnResult result) =>
        ResultJson.Write(stream, Schema, json => WriteBody(json, result));

    private static void WriteBody(Utf8JsonWriter json, ChurnResult result)
    {
        json.WriteStartObject("config");
        json.WriteNumber("count", result.Plan.Count);
        json.WriteString("lifetime", result.Plan.Lifetime);
        json.WriteString("cpu", result.Plan.Cpu.Name);
        json.WriteStartArray("memory_bytes");
        foreach (long size in ChurnPlan.Sizes)
        {
            json.WriteNumberValue(size);
        }

        json.WriteEndArray();
        ResultJson.WriteArray(json, "page_sizes", result.Plan.Pages);
        json.WriteString("qemu_version", result.QemuVersion);
        json.WriteString("image_sha256", result.ImageSha256);
        json.WriteString("command", result.Plan.Command);
        json.WriteEndObject();
        json.WriteNumber("births", result.Lives.Count);
        json.WriteBoolean("interrupted", result.IsInterrupted);
        json.WriteNumber("births_per_virtual_second", Math.Round(result.BirthsPerVirtualSecond, 1));
        json.WriteNumber("lost_bytes", result.LostBytes);
        json.WriteNumber("refused_frees", result.RefusedFrees);
        json.WriteNumber("leaked_frames", result.LeakedFrames);
        json.WriteStartArray("phases");
        foreach (ChurnPhase phase in result.Phases)
        {
            json.WriteStartObject();
            json.WriteString("phase", phase.Name);
            json.WriteNumber("count", phase.Count);
            ResultJson.WriteOptional(json, "p50_instructions", phase.P50);
            ResultJson.WriteOptional(json, "p90_instructions", phase.P90);
            ResultJson.WriteOptional(json, "p99_instructions", phase.P99);
            ResultJson.WriteOptional(json, "max_instructions", phase.Maximum);
            ResultJson.WriteOptional(json, "first_tenth_p50_instructions", phase.FirstTenth);
            ResultJson.WriteOptional(json, "last_tenth_p50_instructions", phase.LastTenth);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNumber("wall_ns", result.WallNanoseconds);
    }

    private static string Whole(long? count) => count?.ToString("N0", CultureInfo.InvariantCulture) ?? Dash;
}
