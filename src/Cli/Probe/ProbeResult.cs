using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Wire;

namespace Quietus.Cli.Probe;

/// <summary>One size of pages and of memory, and one way to die; figures are medians by the JSON's keys.</summary>
internal sealed record ProbeRow(
    string Pages, long MemoryBytes, string Way, IReadOnlyDictionary<string, double> Figures,
    IReadOnlyDictionary<string, IReadOnlyList<double>> Samples)
{
    /// <summary>A figure; 0 where it was not measured, or there was nothing to do.</summary>
    public double this[string key] => Figures.GetValueOrDefault(key);

    public bool Is(ProbeWay way) => Way == way.Name();

    /// <summary>Pages of the size that the memory is asked for in.</summary>
    public double Entries => (double)MemoryBytes / PageBytes;

    public long PageBytes => Pages switch
    {
        "4k" => 4 * 1024,
        "hugetlb-1g" => ByteSize.Gigabyte,
        _ => 2 * ByteSize.Megabyte,
    };

    /// <summary>How far the whole death's quartiles lie apart, as a part of the median.</summary>
    public double Spread => this["total_ns"] <= 0
        ? 0
        : (Quartile("total_ns", 3) - Quartile("total_ns", 1)) / this["total_ns"];

    /// <summary>A quartile of a figure's runs, 1 to 3, those in which it was not measured left out.</summary>
    public double Quartile(string key, int quarter)
    {
        double[] sorted = [.. (Samples.GetValueOrDefault(key) ?? []).Where(value => value > 0).Order()];
        return sorted.Length == 0 ? this[key] : sorted[(sorted.Length - 1) * quarter / 4];
    }

    /// <summary>Whether a figure is larger than another row's, by more than the runs of either spread.</summary>
    public bool IsAbove(string key, ProbeRow other, double times) =>
        this[key] > other[key] * times && Quartile(key, 1) > other.Quartile(key, 3);

    public override string ToString() => $"{ByteSize.Format(MemoryBytes)} by {Pages}, {Way}";
}

/// <summary>What a death did to another VM that worked meanwhile.</summary>
/// <param name="WorkLeft">The part of its work that it got done; null where the order was too short to tell.</param>
internal sealed record ProbeNeighbour(string Pages, long MemoryBytes, string Way, double? WorkLeft, double LongestNs);

/// <summary>How long it takes to kill so many VMs at once that have so much memory together.</summary>
internal sealed record ProbeTogether(string Pages, long MemoryBytes, int Vms, double TotalNs);

/// <summary>What the probe said of a host: a document of schema quietus.probe/1, checked.</summary>
internal sealed record ProbeResult
{
    public const string Schema = "quietus.probe/1";

    private const string Next = "give the JSON that the probe wrote: ./quietus probe --json FILE, or its own --json";

    /// <summary>As it came.</summary>
    public required JsonObject Json { get; init; }

    public required IReadOnlyDictionary<string, string> Host { get; init; }

    public required IReadOnlyList<ProbeRow> Rows { get; init; }

    public required IReadOnlyList<ProbeNeighbour> Neighbours { get; init; }

    public required IReadOnlyList<ProbeTogether> Together { get; init; }

    public required IReadOnlyList<string> Warnings { get; init; }

    public string HostValue(string key) => Host.GetValueOrDefault(key) ?? string.Empty;

    public bool HostFlag(string key) => HostValue(key) == "true";

    /// <summary>A module's parameter; empty where there is none.</summary>
    public string Parameter(string name) =>
        (Json["host"]?["kvm_parameters"] as JsonObject)?[name] is JsonValue value ? value.ToString() : string.Empty;

    public bool IsArm64 => HostValue("architecture") == "aarch64";

    public ProbeRow? Row(string pages, long memory, ProbeWay way) => Rows.FirstOrDefault(
        row => row.Pages == pages && row.MemoryBytes == memory && row.Is(way));

    public static ProbeResult Read(string file) => Of(file, JsonInput.Read(file, Next));

    /// <summary>Reads what the probe printed.</summary>
    public static ProbeResult Parse(string file, string text)
    {
        JsonObject? json;
        try
        {
            json = JsonNode.Parse(text) as JsonObject;
        }
        catch (Exception error) when (error is JsonException or ArgumentException)
        {
            json = null;
        }

        return Of(file, json ?? throw CliException.Usage($"'{file}' is no whole JSON document", Next));
    }

    /// <summary>Takes a document apart; a usage error where it is another one, or has values that cannot be.</summary>
    public static ProbeResult Of(string file, JsonObject json)
    {
        try
        {
            if (json["schema"]?.GetValue<string>() != Schema)
            {
                throw CliException.Usage($"'{file}' is no {Schema}", Next);
            }

            return new ProbeResult
            {
                Json = json,
                Host = ((JsonObject)json["host"]!).Where(pair => pair.Value is JsonValue)
                    .ToDictionary(pair => pair.Key, pair => pair.Value!.ToString()),
                Rows = [.. Objects(json, "rows").Select(RowOf)],
                Neighbours = [.. Objects(json, "neighbours").Select(NeighbourOf)],
                Together = [.. Objects(json, "together").Select(TogetherOf)],
                Warnings = [.. (json["warnings"] as JsonArray ?? []).Select(text => text!.GetValue<string>())],
            };
        }
        catch (Exception error) when (error is InvalidOperationException or FormatException or ArgumentException
            or NullReferenceException or InvalidCastException or OverflowException or InvalidDataException)
        {
            throw CliException.Usage($"'{file}' is no whole {Schema}", Next);
        }
    }

    private static IEnumerable<JsonObject> Objects(JsonObject json, string key) =>
        (json[key] as JsonArray ?? []).Select(item => (JsonObject)item!);

    private static ProbeRow RowOf(JsonObject row)
    {
        Dictionary<string, double> figures = [];
        Dictionary<string, IReadOnlyList<double>> samples = [];
        foreach ((string key, JsonNode? value) in row)
        {
            if (key is "page_size" or "way" or "memory_bytes")
            {
                continue;
            }

            if (key == "samples")
            {
                foreach ((string name, JsonNode? list) in (JsonObject)value!)
                {
                    samples[name] = [.. ((JsonArray)list!).Select(item => Number(item!))];
                }

                continue;
            }

            figures[key] = Number(value!);
        }

        return new ProbeRow(Word(row, "page_size"), Bytes(row), Word(row, "way"), figures, samples);
    }

    private static ProbeNeighbour NeighbourOf(JsonObject row)
    {
        double quiet = Number(row["quiet_rounds_per_second"]!);
        const double least = 20; // rounds that the order's time has room for
        bool tells = quiet * Number(row["order_ns"]!) / 1e9 >= least;
        return new ProbeNeighbour(
            Word(row, "page_size"), Bytes(row), Word(row, "way"),
            tells ? Number(row["rounds_per_second"]!) / quiet : null, Number(row["longest_ns"]!));
    }

    private static ProbeTogether TogetherOf(JsonObject row) =>
        new(Word(row, "page_size"), Bytes(row), (int)Bounded(row["vms"]!, 1, 1 << 20), Number(row["total_ns"]!));

    private static string Word(JsonObject row, string key)
    {
        string word = row[key]!.GetValue<string>();
        return word.Length is > 0 and <= 32 && word.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '-')
            ? word
            : throw new InvalidDataException(key);
    }

    private static long Bytes(JsonObject row) => (long)Bounded(row["memory_bytes"]!, 4096, 1L << 46);

    private static double Number(JsonNode value) => Bounded(value, 0, 1e18);

    private static double Bounded(JsonNode value, double least, double most)
    {
        double number = value.GetValue<double>();
        return number >= least && number <= most
            ? number
            : throw new InvalidDataException(number.ToString(CultureInfo.InvariantCulture));
    }
}
