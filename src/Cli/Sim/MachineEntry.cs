using System.Collections.Generic;
using System.Linq;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>A machine with all of its figures, as they were used: changed ones say so in their source.</summary>
internal sealed record MachineEntry(string Machine, string Title, IReadOnlyDictionary<string, FigureEntry> Figures)
{
    public static MachineEntry Of(MachinePreset machine) => new(
        machine.Name, machine.Title, machine.Figures.ToDictionary(figure => figure.Key, FigureEntry.Of));
}

internal sealed record FigureEntry(double Value, string Unit, double Low, double High, string Source)
{
    public static FigureEntry Of(Figure figure) => new(
        figure.Value, UnitOf(figure.Unit), figure.Low, figure.High, figure.Source);

    private static string UnitOf(FigureUnit unit) => unit switch
    {
        FigureUnit.Nanoseconds => "ns",
        FigureUnit.Bytes => "bytes",
        FigureUnit.Flag => "flag",
        _ => "count",
    };
}
