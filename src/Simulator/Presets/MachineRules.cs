using System;
using System.Collections.Generic;

namespace Quietus.Simulator;

/// <summary>Which figures together are a possible machine.</summary>
internal static class MachineRules
{
    /// <summary>Refuses values outside their bounds and topologies that cannot be built.</summary>
    internal static void Check(
        string file, Func<string, int> lineOf, Dictionary<string, Figure> figures, FigureTable table)
    {
        foreach (Figure figure in figures.Values)
        {
            FigureKind kind = table.Find(figure.Key)!;
            if (figure.Value < kind.Least || figure.Value > kind.Greatest)
            {
                throw Impossible(
                    figure.Key, $"{figure.Key} is {figure.Value:R}",
                    $"It lies between {kind.Least:R} and {kind.Greatest:R}.");
            }
        }

        double sockets = figures["sockets"].Value;
        double pes = figures["pes"].Value;
        double cluster = figures["pes_per_cluster"].Value;
        if (pes % sockets != 0)
        {
            throw Impossible("pes", $"{pes} PEs do not divide into {sockets} sockets", "Change pes or sockets.");
        }

        if (pes / sockets % cluster != 0)
        {
            throw Impossible(
                "pes_per_cluster", $"the {pes / sockets} PEs of a socket do not divide into clusters of {cluster}",
                "Change pes or pes_per_cluster.");
        }

        const double block = 1 << 21;
        if (figures["memory"].Value / sockets % block != 0)
        {
            throw Impossible(
                "memory", $"the memory does not divide into {sockets} sockets by whole 2 MB",
                "Change memory or sockets.");
        }

        double line = figures["line"].Value;
        if (!double.IsPow2(line))
        {
            throw Impossible("line", $"a cache line of {line} bytes", "Lines have a power of two of bytes.");
        }

        if (sockets > 1 && table == FigureTable.Arm64
            && figures["dc_line_remote"].Value < figures["dc_line_local"].Value)
        {
            throw Impossible(
                "dc_line_remote", "a line of another socket costs less than one of the own",
                "Raise dc_line_remote or lower dc_line_local.");
        }

        PresetException Impossible(string key, string problem, string remedy) =>
            new(file, lineOf(key), problem, remedy);
    }
}
