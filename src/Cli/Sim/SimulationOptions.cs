using System.Collections.Generic;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Sim;

/// <summary>Options of the verbs that simulate a machine.</summary>
internal static class SimulationOptions
{
    public static Value<IReadOnlyList<string>> Machine() => Values.List(
        "--machine", "names", "Simulated machines, with commas, or all; or the file of one (machines/*.json)",
        name => name, "d05");

    public static Value<IReadOnlyList<string>> Set() => Values.List(
        "--set", "key=value", "Change a figure of the machines, such as dc_line_remote=20ns; may be given again",
        change => change);
}
