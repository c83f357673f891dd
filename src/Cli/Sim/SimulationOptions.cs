using System;
using System.CommandLine;
using System.IO;
using System.Linq;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Sim;

/// <summary>Options of the verbs that simulate a machine, and where their results go.</summary>
internal static class SimulationOptions
{
    public static Option<string[]> Machine() => new("--machine")
    {
        Description = "Simulated machines, with commas, or all; or the file of one (machines/*.json)",
        DefaultValueFactory = _ => ["d05"],
        HelpName = "names",
    };

    public static Option<string[]> Set() => new("--set")
    {
        Description = "Change a figure of the machines, such as dc_line_remote=20ns; may be given again",
        HelpName = "key=value",
    };

    public static Option<string[]> Policies(string[] standard) => new("--policy", "--policies")
    {
        Description = "Which of " + string.Join(", ", MaintenancePolicy.All.Select(policy => policy.Name)) + "; or all",
        DefaultValueFactory = _ => standard,
        HelpName = "names",
    };

    public static Option<string?> Json(string schema) => new("--json")
    {
        Description = $"Write the result as JSON ({schema}); - for stdout instead of the table",
        HelpName = "file",
    };

    /// <summary>JSON to stdout instead of the table, or the table and, where one is named, a file with JSON.</summary>
    public static void Write(string? json, Action<Stream> writeJson, Action writeTable)
    {
        if (json == "-")
        {
            using Stream output = StandardStreams.OpenOutput();
            writeJson(output);
            return;
        }

        writeTable();
        if (json is not null)
        {
            ResultFile.Write(json, writeJson);
        }
    }
}
