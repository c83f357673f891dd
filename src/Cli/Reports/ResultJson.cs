using System;
using System.Collections.Generic;
using System.IO;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Quietus.Cli.Reports;

/// <summary>What the JSON documents of all verbs have in common: the head, and how numbers are rounded.</summary>
internal static class ResultJson
{
    private static readonly JsonWriterOptions _options = new()
    {
        Indented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Writes <c>{schema, version, …}</c>, and what the caller adds.</summary>
    public static void Write(Stream stream, string schema, Action<Utf8JsonWriter> body)
    {
        using var json = new Utf8JsonWriter(stream, _options);
        json.WriteStartObject();
        json.WriteString("schema", schema);
        json.WriteString("version", ThisProgram.Version);
        body(json);
        json.WriteEndObject();
        json.Flush();
        stream.WriteByte((byte)'\n');
    }

    /// <summary>Writes a figure, to three digits behind the point, or null where there is none.</summary>
    public static void WriteOptional(Utf8JsonWriter json, string name, double? value)
    {
        if (value is double number)
        {
            json.WriteNumber(name, Math.Round(number, 3));
        }
        else
        {
            json.WriteNull(name);
        }
    }

    public static void WriteArray(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (string value in values)
        {
            json.WriteStringValue(value);
        }

        json.WriteEndArray();
    }

    /// <summary>A time, to the thousandth of a nanosecond.</summary>
    public static void WriteNanoseconds(Utf8JsonWriter json, string name, double value) =>
        json.WriteNumber(name, Math.Round(value, 3));
}
