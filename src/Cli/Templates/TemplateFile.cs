using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Serialization;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Templates;

/// <summary>The small file that describes a template (docs/templates.md). Everything in it may be left out.</summary>
/// <param name="Image">Root file system: a path, from the file's folder on.</param>
/// <param name="Memory">As <c>--memory</c> has it.</param>
/// <param name="Cpus">vCPUs.</param>
/// <param name="WarmUp">Programs, each with its arguments.</param>
/// <param name="Environment">Each NAME=VALUE.</param>
/// <param name="User">Who runs programs.</param>
/// <param name="WorkingFolder">Where programs begin.</param>
/// <param name="Network">As <c>--network</c> has it: none, or user.</param>
internal sealed record TemplateFile(
    string? Image = null,
    string? Memory = null,
    int? Cpus = null,
    IReadOnlyList<IReadOnlyList<string>>? WarmUp = null,
    IReadOnlyList<string>? Environment = null,
    string? User = null,
    string? WorkingFolder = null,
    string? Network = null)
{
    private const long MostBytes = 1 << 20;
    private const string Next = "docs/templates.md has an example of each key";

    /// <summary>Reads and checks a file; an error of usage says what in it is wrong.</summary>
    public static TemplateRecipe Read(string path)
    {
        using FileStream stream = InputFile.Open("the template", path, "check the path given with --file");
        if (stream.Length > MostBytes)
        {
            throw CliException.Usage($"the template {path} is larger than 1 MB", Next);
        }

        try
        {
            TemplateFile file = JsonSerializer.Deserialize(stream, TemplateContext.Default.TemplateFile)
                ?? throw new JsonException("it is null");
            return file.Resolve(Path.GetDirectoryName(Path.GetFullPath(path))!);
        }
        catch (JsonException error)
        {
            throw CliException.Usage($"the template {path} is not right: {Printable.Line(error.Message)}", Next);
        }
    }

    /// <summary>The recipe; a <see cref="CliException"/> for a value that cannot be.</summary>
    /// <param name="folder">Where a relative image path begins.</param>
    public TemplateRecipe Resolve(string folder)
    {
        if (Cpus is < 1 or > CommonOptions.MostCpus)
        {
            throw CliException.Usage($"the template's cpus cannot be {Cpus}", $"1 to {CommonOptions.MostCpus}");
        }

        if (WarmUp?.Any(command => command is not { Count: > 0 }) == true)
        {
            throw CliException.Usage("the template's warm_up has an empty command", Next);
        }

        if (Environment?.FirstOrDefault(variable => variable.IndexOf('=', StringComparison.Ordinal) < 1) is { } bad)
        {
            throw CliException.Usage($"the template's environment has '{Printable.Line(bad)}'", "write NAME=VALUE");
        }

        if (Network is not (null or CommonOptions.NoNetwork or CommonOptions.UserNetwork))
        {
            throw CliException.Usage(
                $"the template's network cannot be '{Printable.Line(Network)}'",
                $"write {CommonOptions.NoNetwork} or {CommonOptions.UserNetwork}");
        }

        return new TemplateRecipe
        {
            Image = Image is null ? null : Path.GetFullPath(Path.Combine(folder, Image)),
            MemoryBytes = Memory is null ? 0 : CommonOptions.ReadMemory(Memory),
            Cpus = Cpus ?? 1,
            WarmUp = WarmUp ?? [],
            Environment = Environment ?? [],
            User = User ?? string.Empty,
            WorkingFolder = WorkingFolder ?? string.Empty,
            HasNetwork = CommonOptions.HasNetwork(Network),
        };
    }
}

/// <summary>The code that reads and writes templates' files.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    WriteIndented = true)]
[JsonSerializable(typeof(TemplateFile))]
[JsonSerializable(typeof(TemplateEntry))]
internal sealed partial class TemplateContext : JsonSerializerContext;
