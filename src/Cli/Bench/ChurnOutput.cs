using System;
using System.Globalization;
using System.IO;
using System.Text.Json;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Bench;

/// <summary>A churn for people, within 80 columns, and for programs: schema <c>quietus.churn/1</c>.</summary>
internal static class ChurnOutput
{
    public const string Schema = "quietus.churn/1";

    /// <summary>Writes the table.</summary>
    public static void WriteTable(TextWriter writer, ChurnResult result)
    {
        Line(string.Create(
            CultureInfo.InvariantCulture,
            $"{result.Lives.Count:N0} VMs of 16 to 64 MB in one boot, {result.Plan.Cpu.Name}, lifetime "
            + $"{result.Plan.Lifetime}"));
        Line(string.Create(
            CultureInfo.InvariantCulture,
            $"{"instructions",-18}{"VMs",7}{"p50",11}{"p90",11}{"p99",11}{"max",11}{"drift",10}"));
        Line(string.Create(
            CultureInfo.InvariantCulture,
            $"{"-----------------",-18}{"------",7}{"---------",11}{"---------",11}{"---------",11}{"---------",11}"
            + $"{"--------",10}"));
        foreach (ChurnPhase phase in result.Phases)
        {
            string drift = phase.FirstTenth == 0
                ? "-"
                : ((phase.LastTenth - phase.FirstTenth) / (double)phase.FirstTenth).ToString(
                    "+0.0 %;-0.0 %;0.0 %", CultureInfo.InvariantCulture);
            Line(string.Create(
            CultureInfo.InvariantCulture,
            $"{phase.Name.Replace('_', ' '),-18}{phase.Count,7:N0}{phase.P50,11:N0}{phase.P90,11:N0}"
                + $"{phase.P99,11:N0}{phase.Maximum,11:N0}{drift,10}"));
        }

        writer.WriteLine();
        Line(string.Create(
            CultureInfo.InvariantCulture,
            $"{result.BirthsPerVirtualSecond:N0} births and deaths in a virtual second (10^9 instructions)"));
        Line(string.Create(
            CultureInfo.InvariantCulture,
            $"{result.LostBytes:N0} bytes lost, {result.RefusedFrees:N0} frees refused, {result.LeakedFrames:N0} "
            + $"frames leaked"));
        writer.WriteLine("Drift: the median of the last tenth against that of the first.");

        void Line(string text) => writer.WriteLine(text.TrimEnd());
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
            json.WriteNumber("p50_instructions", phase.P50);
            json.WriteNumber("p90_instructions", phase.P90);
            json.WriteNumber("p99_instructions", phase.P99);
            json.WriteNumber("max_instructions", phase.Maximum);
            json.WriteNumber("first_tenth_p50_instructions", phase.FirstTenth);
            json.WriteNumber("last_tenth_p50_instructions", phase.LastTenth);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNumber("wall_ns", result.WallNanoseconds);
    }
}
