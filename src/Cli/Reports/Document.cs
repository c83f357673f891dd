using System;
using System.IO;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Quietus.Cli.Reports;

/// <summary>
/// A JSON document. The records that derive from this one, each beside the verb that writes it, are the schemas: a
/// property is a key, in snake case where no attribute names it, in the order in which they stand.
/// </summary>
/// <param name="Schema">What it is, with its version: <c>quietus.bench/1</c>.</param>
internal abstract record Document([property: JsonPropertyOrder(-2)] string Schema)
{
    private static readonly JsonWriterOptions _options = new()
    {
        Indented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    [JsonPropertyOrder(-1)]
    public string Version { get; } = ThisProgram.Version;

    /// <summary>Writes the document and the end of its last line.</summary>
    public void Write(Stream stream)
    {
        using (var json = new Utf8JsonWriter(stream, _options))
        {
            JsonSerializer.Serialize(json, this, GetType(), DocumentContext.Default);
        }

        stream.WriteByte((byte)'\n');
    }

    /// <summary>A figure, to three digits behind the point: a time to the thousandth of a nanosecond.</summary>
    public static double Rounded(double value) => Math.Round(value, 3);

    /// <summary>A figure, to three digits behind the point, or null where there is none.</summary>
    public static double? Rounded(double? value) => value is double number ? Rounded(number) : null;
}
