using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Sim;
using Quietus.Cli.Terminals;
using Quietus.Simulator;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary><c>quietus replay</c>: a traced VM of a real KVM host, played again under each policy.</summary>
internal static class ReplayVerb
{
    private static readonly Argument<string> _file = new("trace")
    {
        Description = "ftrace's text of a KVM/arm64 host, also gzipped (docs/replay.md says how to record it)",
        HelpName = "trace[.gz]",
    };

    private static readonly Option<string[]> _machine = SimulationOptions.Machine();
    private static readonly Option<string[]> _set = SimulationOptions.Set();
    private static readonly Option<string[]> _policies =
        SimulationOptions.Policies(["before-series", "series", "fate"]);

    private static readonly Option<string> _cause = new("--cause")
    {
        Description = "What the notifier's ranges are taken for, which the trace does not say: "
            + string.Join(", ", UnmapCause.All.Select(cause => cause.Name)),
        DefaultValueFactory = _ => UnmapCause.All[0].Name,
        HelpName = "why",
    };

    private static readonly Option<string?> _json = SimulationOptions.Json("quietus.replay/1");

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("replay", "Play a traced VM of a real KVM host again: what it would have cost")
        {
            _file, _machine, _policies, _cause, _set, _json,
        };
        command.SetAction((result, _) => Task.FromResult(Run(result, cancellation)));
        return command;
    }

    private static int Run(ParseResult result, CancellationToken cancellation)
    {
        string file = result.GetValue(_file)!;
        string? json = result.GetValue(_json);
        IReadOnlyList<MachinePreset> machines = Machines.Parse(
            CommonOptions.Items(result.GetValue(_machine), "--machine"), result.GetValue(_set) ?? []);
        IReadOnlyList<MaintenancePolicy> policies =
            MaintenancePolicy.ParseList(CommonOptions.Items(result.GetValue(_policies), "--policy"));
        UnmapCause cause = UnmapCause.Parse(result.GetValue(_cause)!);
        if (json != "-")
        {
            CommonOptions.CheckWritable(json, "--json");
        }

        HostTrace trace = Read(file, cancellation);
        List<ReplayRow> rows = [];
        foreach (MachinePreset machine in machines)
        {
            foreach (MaintenancePolicy policy in policies)
            {
                rows.Add(Replayer.Run(trace, machine, policy, cause, cancellation));
            }
        }

        var replayed = new ReplayResult
        {
            File = file,
            Trace = trace,
            Machines = machines,
            Policies = policies,
            Cause = cause,
            Rows = rows,
            Command = "./quietus replay " + ShellWord.Quote(file)
                + " --machine " + string.Join(',', CommonOptions.Items(result.GetValue(_machine), "--machine"))
                + " --policy " + string.Join(',', policies.Select(policy => policy.Name))
                + " --cause " + cause.Name
                + string.Concat((result.GetValue(_set) ?? []).Select(change => " --set " + ShellWord.Quote(change))),
        };
        SimulationOptions.Write(
            json, stream => ReplayJson.Write(stream, replayed), () => ReplayTable.Write(Console.Out, replayed));
        return ExitCode.Ok;
    }

    private static HostTrace Read(string file, CancellationToken cancellation)
    {
        try
        {
            return TraceReader.ReadFile(file, cancellation);
        }
        catch (TraceException error)
        {
            throw CliException.Usage(Printable.Line($"{file}: {error.Message}"), error.NextStep);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException
            or NotSupportedException)
        {
            throw CliException.Usage(
                Printable.Line($"'{file}' cannot be read: {error.Message}"), "give the file of a trace");
        }
    }
}
