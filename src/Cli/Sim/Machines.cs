using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>The machine presets that the command line knows, and how they are named.</summary>
internal static class Machines
{
    /// <summary>The folder of the presets: beside the program.</summary>
    public static string Folder => Path.Combine(AppContext.BaseDirectory, "machines");

    /// <summary>Reads names, <c>all</c>, or paths of files; with the changes of <c>--set</c> in each.</summary>
    public static IReadOnlyList<MachinePreset> Parse(IReadOnlyList<string> names, IReadOnlyList<string> changes)
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
            ? MachinePreset.Load(name)
            : MachinePreset.Named(Folder, name);

    private static string Place(PresetException error) =>
        error.Line > 0 ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{error.File}:{error.Line}")
            : error.File;
}
