using System;
using System.IO;
using System.Text.Json;
using System.Text.Json.Nodes;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Reports;

/// <summary>A document that this program has written, read back.</summary>
internal static class JsonInput
{
    /// <summary>A result of a million deaths is smaller.</summary>
    private const long MostBytes = 1L << 30;

    /// <summary>Reads a file; a usage error that says what it is instead of an object of JSON.</summary>
    /// <param name="file">Where it is.</param>
    /// <param name="nextStep">What to give instead.</param>
    public static JsonObject Read(string file, string nextStep)
    {
        using FileStream stream = InputFile.Open($"'{file}'", file, nextStep);
        if (stream.CanSeek && stream.Length > MostBytes)
        {
            throw CliException.Usage($"'{file}' is larger than 1 GB: that is no result", nextStep);
        }

        try
        {
            return JsonNode.Parse(stream) is JsonObject json
                ? json
                : throw CliException.Usage($"'{file}' is JSON, but no document of Quietus", nextStep);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException
            or ArgumentException)
        {
            throw CliException.Usage(
                $"'{file}' is no whole JSON document: was the run that wrote it killed?", nextStep);
        }
    }
}
