using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;

namespace Quietus.Cli.Reports;

/// <summary>
/// An array of a JSON document as CSV (RFC 4180): its keys are the titles, so that units and names are the same in
/// both. Objects within a row are taken apart: <c>death_tlbi_ipa</c>.
/// </summary>
internal static class CsvTable
{
    /// <param name="stream">Where to; it is left open.</param>
    /// <param name="rows">The array's name.</param>
    /// <param name="write">Writes the document.</param>
    public static void Write(Stream stream, string rows, Action<Stream> write)
    {
        using var document = new MemoryStream();
        write(document);
        document.Position = 0;
        using JsonDocument json = JsonDocument.Parse(document);
        using var writer = new StreamWriter(stream, leaveOpen: true) { NewLine = "\r\n" };
        bool isFirst = true;
        foreach (JsonElement row in json.RootElement.GetProperty(rows).EnumerateArray())
        {
            (string Name, string Text)[] cells = [.. Cells(row, string.Empty)];
            if (isFirst)
            {
                writer.WriteLine(string.Join(',', cells.Select(cell => cell.Name)));
                isFirst = false;
            }

            writer.WriteLine(string.Join(',', cells.Select(cell => Quote(cell.Text))));
        }
    }

    private static IEnumerable<(string Name, string Text)> Cells(JsonElement row, string prefix) =>
        row.EnumerateObject().SelectMany(property => property.Value.ValueKind == JsonValueKind.Object
            ? Cells(property.Value, prefix + property.Name + "_")
            : [(prefix + property.Name, property.Value.ToString())]);

    private static string Quote(string text) =>
        text.AsSpan().IndexOfAny(",\"\r\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
