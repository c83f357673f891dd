using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Compare;

/// <summary>One result, taken apart into rows with figures.</summary>
/// <param name="File">Where it was.</param>
/// <param name="Schema">One of those that can be compared.</param>
/// <param name="Config">How it was made.</param>
/// <param name="Rows">By what they are called, in their order; what each measured.</param>
/// <param name="IsComplete">Whether it came to its end.</param>
internal sealed record ComparedRun(
    string File, string Schema, JsonObject Config,
    IReadOnlyList<KeyValuePair<string, IReadOnlyDictionary<string, double>>> Rows, bool IsComplete)
{
    private static readonly string _next =
        "compare takes the JSON documents of " + string.Join(", ", ComparedArray.Schemas);

    /// <summary>Reads a document; a usage error that says what it is instead.</summary>
    public static ComparedRun Read(string file)
    {
        JsonObject json = JsonInput.Read(file, _next);
        try
        {
            return Of(file, json);
        }
        catch (Exception error) when (error is InvalidOperationException or FormatException or ArgumentException)
        {
            throw CliException.Usage($"'{file}' is no whole document of Quietus", _next);
        }
    }

    private static ComparedRun Of(string file, JsonObject json)
    {
        string? schema = json["schema"]?.GetValue<string>();
        if (schema is null || ComparedArray.Of(schema) is not { } arrays)
        {
            throw CliException.Usage(
                $"'{file}' is a {Printable.Line(schema ?? "document without a schema")}, which cannot be compared",
                _next);
        }

        List<KeyValuePair<string, IReadOnlyDictionary<string, double>>> rows = [];
        Dictionary<string, int> seen = [];
        foreach (ComparedArray array in arrays)
        {
            foreach (JsonObject row in RowsOf(json, array))
            {
                string name = NameOf(array, row);
                seen[name] = seen.GetValueOrDefault(name) + 1;
                name += seen[name] > 1 ? string.Create(CultureInfo.InvariantCulture, $" ({seen[name]})") : string.Empty;
                rows.Add(new(name, FiguresOf(array, row)));
            }
        }

        return new ComparedRun(
            file, schema, json["config"] as JsonObject ?? [], rows,
            json["complete"]?.GetValue<bool>() != false && json["interrupted"]?.GetValue<bool>() != true);
    }

    private static IEnumerable<JsonObject> RowsOf(JsonObject json, ComparedArray array) => array.Name.Length == 0
        ? [json]
        : json[array.Name] switch
        {
            JsonArray rows => rows.OfType<JsonObject>(),
            JsonObject row => [row],
            _ => [],
        };

    /// <summary>What a row is of: "linux 256M 4k fate kill".</summary>
    private static string NameOf(ComparedArray array, JsonObject row) => array.Keys.Count == 0
        ? array.Name.Length == 0 ? "all" : array.Name
        : string.Join(' ', array.Keys.Select(key => Word(key, row[key])));

    private static string Word(string key, JsonNode? value) => value is null ? "-"
        : key == "memory_bytes" ? ByteSize.Format(value.GetValue<long>())
        : key == "vcpus" ? value + (value.GetValue<long>() == 1 ? "-vCPU" : "-vCPUs")
        : Printable.Line(value.ToString());

    private static Dictionary<string, double> FiguresOf(ComparedArray array, JsonObject row)
    {
        Dictionary<string, double> figures = [];
        Add(row, string.Empty);
        return figures;

        // Objects within a row are taken apart as CSV has them; in a whole document they are rows of their own.
        void Add(JsonObject part, string prefix)
        {
            foreach ((string key, JsonNode? value) in part)
            {
                string name = prefix + key;
                if (value is JsonObject inner && array.Name.Length > 0)
                {
                    Add(inner, name + "_");
                }
                else if (value?.GetValueKind() == JsonValueKind.Number && !array.Keys.Contains(name)
                    && !array.Ignored.Contains(name))
                {
                    figures[name] = value.GetValue<double>();
                }
            }
        }
    }
}
