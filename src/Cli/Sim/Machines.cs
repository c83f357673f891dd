using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>The machine presets that the command line knows, and how they are named.</summary>
internal static class Machines
{
    private const long MostBytes = 1 << 20;

    /// <summary>The folder of the presets: beside the program.</summary>
    public static string Folder => Path.Combine(AppContext.BaseDirectory, "machines");

    /// <summary>The folder of the presets of other architectures than arm64.</summary>
    public static string OthersFolder => Path.Combine(Folder, "architectures");

    /// <summary>
    /// Reads names, <c>all</c>, or paths of files; with the changes of <c>--set</c> in each. Only machines of arm64,
    /// whose engine is simulated: other ones are a usage error.
    /// </summary>
    public static IReadOnlyList<MachinePreset> Parse(IReadOnlyList<string> names, IReadOnlyList<string> changes)
    {
        IReadOnlyList<MachinePreset> machines = ParseAny(names, changes);
        foreach (MachinePreset machine in machines)
        {
            if (!machine.IsArm64)
            {
                throw CliException.Usage(
                    $"{machine.Name} is a machine of {machine.Architecture}, and this needs one of arm64",
                    "./quietus sim --machine simulates the others; here take "
                        + string.Join(", ", MachinePreset.Names(Folder)));
            }
        }

        return machines;
    }

    /// <summary>As <see cref="Parse"/>, of every architecture; <c>all</c> are those of arm64.</summary>
    public static IReadOnlyList<MachinePreset> ParseAny(IReadOnlyList<string> names, IReadOnlyList<string> changes)
    {
        try
        {
            return
            [
                .. names
                    .SelectMany(name => name == "all" ? MachinePreset.Names(Folder) : [name])
                    .Distinct()
                    .Select(Load)
                    .Select(machine => changes.Aggregate(machine, (changed, change) => changed.With(change))),
            ];
        }
        catch (PresetException error)
        {
            throw CliException.Usage(
                (error.File == Folder ? string.Empty : Place(error) + ": ") + error.Problem, error.Remedy);
        }
    }

    private static MachinePreset Load(string name) =>
        name.EndsWith(".json", StringComparison.Ordinal)
            ? MachinePreset.Load(Bounded(name))
            : MachinePreset.Names(OthersFolder).Contains(name) ? MachinePreset.Named(OthersFolder, name)
            : MachinePreset.Named(Folder, name);

    /// <summary>A file of a sensible size; what is no file is the reader's to refuse.</summary>
    private static string Bounded(string path) =>
        File.Exists(path) && (FileStatus.Of(path) is { IsRegular: false } || new FileInfo(path).Length > MostBytes)
            ? throw CliException.Usage(
                $"'{path}' is no preset: it is no regular file, or larger than 1 MB",
                "give a file as machines/d05.json")
            : path;

    private static string Place(PresetException error) =>
        error.Line > 0 ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{error.File}:{error.Line}")
            : error.File;
}
