using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary><c>quietus sim</c>: what a VM's death costs on a simulated Arm server.</summary>
internal static partial class SimVerb
{
    private const int MostVcpus = 64;

    private static readonly Option<string[]> _machine = SimulationOptions.Machine();
    private static readonly Option<string[]> _set = SimulationOptions.Set();
    private static readonly Option<string[]> _policies = SimulationOptions.Policies(["all"]);
    private static readonly Option<string?> _json = SimulationOptions.Json(SimulationJson.Schema);

    private static readonly Option<string[]> _memory = new("--memory")
    {
        Description = "Memory of the VM, such as 1G,64G",
        DefaultValueFactory = _ => ["64G"],
        HelpName = "sizes",
    };

    private static readonly Option<string[]> _pages = new("--pages")
    {
        Description = $"In what sizes the host backs it: {SimulationNames.Pages}, with commas",
        DefaultValueFactory = _ => ["2m"],
        HelpName = "sizes",
    };

    private static readonly Option<string[]> _die = new("--die")
    {
        Description = $"How it goes: {SimulationNames.Deaths}, with commas, or all",
        DefaultValueFactory = _ => ["kill"],
        HelpName = "ways",
    };

    private static readonly Option<bool> _ablate = new("--ablate")
    {
        Description = "Show what each patch saves alone, and what the series loses without it",
    };

    private static readonly Option<string?> _sweep = new("--sweep")
    {
        Description = "Memory from one size to another, doubling: memory=1G..512G",
        HelpName = "memory=a..b",
    };

    private static readonly Option<string> _vcpus = new("--vcpus")
    {
        Description = string.Create(CultureInfo.InvariantCulture, $"vCPUs, 1 to {MostVcpus}"),
        DefaultValueFactory = _ => "4",
        HelpName = "n",
    };

    private static readonly Option<string> _seed = new("--seed")
    {
        Description = "Of everything that is drawn by chance",
        DefaultValueFactory = _ => "1",
        HelpName = "n",
    };

    private static readonly Option<string?> _report = new("--report")
    {
        Description = "Write a self-contained HTML report",
        HelpName = "file.html",
    };

    private static readonly Option<bool> _calibration = new("--calibration")
    {
        Description = "Show published figures against what the model gives, and nothing else",
    };

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("sim", "Simulate a VM's death on an Arm server, under each policy")
        {
            _machine, _memory, _pages, _die, _policies, _ablate, _sweep, _set, _vcpus, _seed, _json, _report,
            _calibration, _check,
        };
        command.SetAction((result, _) => Task.FromResult(Run(result, cancellation)));
        return command;
    }

    private static int Run(ParseResult result, CancellationToken cancellation)
    {
        if (result.GetValue(_calibration))
        {
            Console.Out.WriteLine(Calibration.ToMarkdown(Calibration.Run(Machines.Folder)).TrimEnd());
            return ExitCode.Ok;
        }

        if (result.GetValue(_check))
        {
            return Check(result, cancellation);
        }

        SimulationPlan plan = ReadPlan(result);
        string? json = result.GetValue(_json);
        string? report = result.GetValue(_report);
        if (json != "-")
        {
            CommonOptions.CheckWritable(json, "--json");
        }

        CommonOptions.CheckWritable(report, "--report");
        SimulationRun run = Simulate(plan, cancellation);
        SimulationOptions.Write(
            json, stream => SimulationJson.Write(stream, run), () => SimulationTable.Write(Console.Out, run));
        if (!run.IsComplete)
        {
            throw new OperationCanceledException(cancellation);
        }

        if (report is not null)
        {
            string page = SimulationReport.Make(run, SimulationStudy.Make(plan, cancellation));
            ResultFile.Write(report, stream =>
            {
                using var writer = new StreamWriter(stream);
                writer.Write(page);
            });
        }

        return ExitCode.Ok;
    }

    /// <summary>Runs the plan; when it is interrupted, what was done so far is the result.</summary>
    private static SimulationRun Simulate(SimulationPlan plan, CancellationToken cancellation)
    {
        List<SimulationRow> rows = [];
        using var progress = WorkProgress.Start(plan.Cases.Count, "filling");
        try
        {
            foreach (SimulationCase what in plan.Cases)
            {
                progress.Begins(what.ToString());
                rows.Add(SimulationStudy.RunCase(what, cancellation));
                progress.Finished(what + ": " + Duration.Format(rows[^1].Result.DeathNanoseconds));
            }
        }
        catch (OperationCanceledException)
        {
        }

        return new SimulationRun { Plan = plan, Rows = rows };
    }

    private static SimulationPlan ReadPlan(
        ParseResult result, string memoryUnlessGiven = "64G", string policiesUnlessGiven = "all")
    {
        string[] changes = result.GetValue(_set) ?? [];
        IReadOnlyList<string> names = CommonOptions.Items(result.GetValue(_machine), "--machine");
        IReadOnlyList<MachinePreset> machines = Machines.Parse(names, changes);
        bool ablate = result.GetValue(_ablate);
        IReadOnlyList<MaintenancePolicy> policies = ablate
            ? MaintenancePolicy.All
            : MaintenancePolicy.ParseList(CommonOptions.Items(
                Given(result, _policies) ?? [policiesUnlessGiven], "--policy"));
        IReadOnlyList<long> memory = result.GetValue(_sweep) is string sweep
            ? ReadSweep(sweep)
            :
            [
                .. CommonOptions.Items(Given(result, _memory) ?? [memoryUnlessGiven], "--memory")
                    .Select(CommonOptions.ReadMemory).Distinct(),
            ];
        IReadOnlyList<GuestPages> pages =
            SimulationNames.ParsePages(CommonOptions.Items(result.GetValue(_pages), "--pages"));
        IReadOnlyList<DeathKind> deaths =
            SimulationNames.ParseDeaths(CommonOptions.Items(result.GetValue(_die), "--die"));
        machines = Fitting(machines, memory.Max(), leavesOut: names.Contains("all"));
        int vcpus = ReadNumber(result.GetValue(_vcpus)!, 1, MostVcpus, "--vcpus", "number of vCPUs");
        int seed = ReadNumber(result.GetValue(_seed)!, 0, int.MaxValue, "--seed", "seed");
        return new SimulationPlan
        {
            Machines = machines,
            MemoryBytes = memory,
            Pages = pages,
            Deaths = deaths,
            Policies = policies,
            Vcpus = vcpus,
            Seed = seed,
            Ablate = ablate,
            Command = string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus sim --machine {string.Join(',', names.Select(ShellWord.Quote))}"
                    + $" --memory {string.Join(',', memory.Select(ByteSize.FormatOption))}"
                    + $" --pages {string.Join(',', pages.Select(SimulationNames.Of))}"
                    + $" --die {string.Join(',', deaths.Select(SimulationNames.Of))}"
                    + $" --policy {string.Join(',', policies.Select(policy => policy.Name))}"
                    + $" --vcpus {vcpus} --seed {seed}{(ablate ? " --ablate" : string.Empty)}")
                + string.Concat(changes.Select(change => " --set " + ShellWord.Quote(change))),
        };
    }

    /// <summary>What was given on the command line, not what stands in when nothing was.</summary>
    private static string[]? Given(ParseResult result, Option<string[]> option) =>
        result.GetResult(option) is { Implicit: false } ? result.GetValue(option) : null;

    /// <summary>
    /// The machines that have the memory. Whoever asked for all gets those; whoever named one that has not is told.
    /// </summary>
    private static List<MachinePreset> Fitting(IReadOnlyList<MachinePreset> machines, long memory, bool leavesOut)
    {
        // The host keeps a sixty-fourth for itself.
        List<MachinePreset> fitting =
        [
            .. machines.Where(machine => machine.MemoryBytes - (machine.MemoryBytes >> 6) >= (ulong)memory),
        ];
        foreach (MachinePreset machine in machines.Except(fitting))
        {
            string problem = $"{machine.Name} has {ByteSize.Format((long)machine.MemoryBytes)}, of which the host "
                + "keeps some: too little for a VM of " + ByteSize.Format(memory);
            if (!leavesOut || fitting.Count == 0)
            {
                throw CliException.Usage(problem, "give less with --memory, or more with --set memory=…");
            }

            Console.Error.WriteLine("quietus: left out: " + problem);
        }

        return fitting;
    }

    /// <summary>memory=1G..512G: from the one to the other, doubling, the last one included.</summary>
    private static List<long> ReadSweep(string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        int dots = text.IndexOf("..", StringComparison.Ordinal);
        if (equals < 0 || dots < equals || text[..equals] != "memory")
        {
            throw CliException.Usage(
                $"'{Printable.Line(text)}' is no sweep", "write it as memory=1G..512G; --machine, --pages and --die "
                    + "take lists");
        }

        long first = CommonOptions.ReadMemory(text[(equals + 1)..dots]);
        long last = CommonOptions.ReadMemory(text[(dots + 2)..]);
        if (first > last)
        {
            throw CliException.Usage($"the sweep '{text}' goes backwards", "write the smaller size first");
        }

        List<long> sizes = [];
        for (long size = first; size < last; size *= 2)
        {
            sizes.Add(size);
        }

        sizes.Add(last);
        return sizes;
    }

    private static int ReadNumber(string text, int least, int most, string option, string what) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            && number >= least && number <= most
            ? number
            : throw CliException.Usage(
                $"'{Printable.Line(text)}' is no {what}",
                string.Create(CultureInfo.InvariantCulture, $"{option} takes {least} to {most}"));
}
