using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Campaigns;
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

    private static readonly Value<IReadOnlyList<string>> _machine = SimulationOptions.Machine();
    private static readonly Value<IReadOnlyList<string>> _set = SimulationOptions.Set();
    private static readonly Value<IReadOnlyList<MaintenancePolicy>> _policies = CommonOptions.Policies("all");
    private static readonly OutputOptions _outputs = new(SimulationDocument.Name);

    private static readonly Value<IReadOnlyList<long>> _memory =
        CommonOptions.MemoryList("Memory of the VM, such as 1G,64G", "64G");

    private static readonly Value<IReadOnlyList<GuestPages>> _pages = Values.List(
        "--pages", "sizes", $"In what sizes the host backs it: {SimulationNames.Pages}, with commas",
        SimulationNames.ParsePages, "2m");

    private static readonly Value<IReadOnlyList<DeathKind>> _die = new(
        "--die", "ways", $"How it goes: {SimulationNames.Deaths}, with commas, or all",
        text => SimulationNames.ParseDeaths(Values.Items(text, "--die")),
        SimulationNames.Of(DeathKind.Kill));

    private static readonly Option<bool> _ablate = new("--ablate")
    {
        Description = "Show what each patch saves alone, and what the series loses without it",
    };

    private static readonly Value<IReadOnlyList<long>?> _sweep = new(
        "--sweep", "memory=a..b", "Memory from one size to another, doubling: memory=1G..512G", ReadSweep);

    private static readonly Value<int?> _vcpus =
        Values.Number("--vcpus", $"vCPUs, 1 to {MostVcpus}", "number of vCPUs", 1, MostVcpus, "4");

    private static readonly Value<int?> _seed =
        Values.Number("--seed", "Of everything that is drawn by chance", "seed", 0, int.MaxValue, "1");

    private static readonly Value<int?> _jobs =
        Values.Number("--jobs", "Deaths at a time [default: one for each core]", "number of jobs", 1, 64);

    private static readonly Value<Shard?> _shard = Campaigns.Shard.Option();

    private static readonly Option<bool> _calibration = new("--calibration")
    {
        Description = "Show published figures against what the model gives, and nothing else",
    };

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("sim", "Simulate a VM's death on an Arm server, under each policy")
        {
            _machine, _memory, _pages, _die, _policies, _ablate, _sweep, _set, _vcpus, _seed, _jobs, _calibration,
            _check, _hooks, _births, _shard, _calibrate,
        };
        _outputs.AddTo(command);
        command.SetAction((result, _) => Task.FromResult(Run(result, cancellation)));
        return command;
    }

    private static int Run(ParseResult result, CancellationToken cancellation)
    {
        if (result.GetValue(_calibration))
        {
            CommonOptions.Refuse(
                result,
                [_machine, _memory, _pages, _die, _policies, _ablate, _sweep, _set, _vcpus, _seed, _jobs, _check,
                    _births, _hooks, _shard, .. _outputs.All],
                "with --calibration", "it takes no other option");
            Console.Out.WriteLine(Calibration.ToMarkdown(Calibration.Run(Machines.Folder)).TrimEnd());
            return ExitCode.Ok;
        }

        if (_calibrate.IsGiven(result))
        {
            return Calibrate(result, cancellation);
        }

        if (result.GetValue(_births))
        {
            return ShowBirths(result, cancellation);
        }

        if (result.GetValue(_hooks))
        {
            CommonOptions.Refuse(result, [_shard], "with --hooks", "the table is made as a whole: leave it out");
            return ShowHooks(result, cancellation);
        }

        IReadOnlyList<MachinePreset> machines = Machines.ParseAny(
            _machine.Of(result), _set.IsGiven(result) ? _set.Of(result) : []);
        if (machines.Any(static machine => !machine.IsArm64))
        {
            CommonOptions.Refuse(
                result, [_shard], "with a machine of another architecture", "their deaths are few: leave it out");
            return RunOthers(result, cancellation);
        }

        if (result.GetValue(_check))
        {
            return Check(result, cancellation);
        }

        SimulationPlan plan = ReadPlan(result);
        Outputs outputs = _outputs.Read(result);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        SimulationRun run = Simulate(plan, _jobs.Of(result) ?? Environment.ProcessorCount, cancellation);
        outputs.Write(
            "rows", stream => SimulationDocument.Of(run).Write(stream), writer => SimulationTable.Write(writer, run),
            run.IsComplete ? () => SimulationReport.Make(run, SimulationStudy.Make(plan, cancellation)) : null);
        return run.IsComplete ? ExitCode.Ok : throw new OperationCanceledException(cancellation);
    }

    /// <summary>
    /// Runs the plan, the longest deaths first; when it is interrupted, what was done so far is the result.
    /// </summary>
    private static SimulationRun Simulate(SimulationPlan plan, int jobs, CancellationToken cancellation)
    {
        IReadOnlyList<SimulationCase> cases = plan.Cases;
        var rows = new SimulationRow?[cases.Count];
        using var progress = WorkProgress.Start((int)plan.Part.Length, "filling");
        try
        {
            Parallel.ForEach(
                Partitioner.Create(
                    Enumerable.Range((int)plan.Part.First, (int)plan.Part.Length)
                        .OrderByDescending(index => cases[index].Request.MemoryBytes),
                    EnumerablePartitionerOptions.NoBuffering),
                new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = cancellation },
                index =>
                {
                    progress.Begins(cases[index].ToString());
                    SimulationRow row = SimulationStudy.RunCase(cases[index], progress, cancellation);
                    rows[index] = row;
                    progress.Finished(cases[index] + ": " + Duration.Format(row.Result.DeathNanoseconds));
                });
        }
        catch (AggregateException errors) when (errors.InnerException is CliException error)
        {
            throw error;
        }
        catch (Exception error) when (cancellation.IsCancellationRequested
            && error is OperationCanceledException or AggregateException)
        {
        }

        return new SimulationRun { Plan = plan, Rows = [.. rows.OfType<SimulationRow>()] };
    }

    private static SimulationPlan ReadPlan(
        ParseResult result, string memoryUnlessGiven = "64G", string policiesUnlessGiven = "all")
    {
        IReadOnlyList<string> changes = _set.IsGiven(result) ? _set.Of(result) : [];
        IReadOnlyList<string> names = _machine.Of(result);
        IReadOnlyList<MachinePreset> machines = Machines.ParseAny(names, changes);
        bool isOther = machines.Any(static machine => !machine.IsArm64);
        if (isOther && machines.Any(static machine => machine.IsArm64))
        {
            throw CliException.Usage(
                "machines of arm64 and of other architectures have no operation in common",
                "give them to runs of their own");
        }

        bool ablate = result.GetValue(_ablate);
        if (ablate)
        {
            CommonOptions.Refuse(result, [_policies], "with --ablate", "it shows every policy");
        }

        if (_shard.IsGiven(result) && (ablate || _outputs.Report!.IsGiven(result)))
        {
            throw CliException.Usage(
                "--ablate and --report look at all deaths, and a shard has a part of them",
                "./quietus merge puts the shards' documents together, and takes --report");
        }

        if (_sweep.IsGiven(result))
        {
            CommonOptions.Refuse(result, [_memory], "beside --sweep", "the sweep has all sizes: leave one of them out");
        }

        IReadOnlyList<MaintenancePolicy> policies =
            ablate ? MaintenancePolicy.All
            : _policies.Of(result, isOther ? OfferedBy(machines) : policiesUnlessGiven);
        IReadOnlyList<long> memory = _sweep.Of(result) ?? _memory.Of(result, memoryUnlessGiven);
        IReadOnlyList<GuestPages> pages =
            isOther ? _pages.Of(result, BasePagesOf(machines)) : _pages.Of(result);
        IReadOnlyList<DeathKind> deaths = _die.Of(result);
        machines = Fitting(machines, memory.Max(), leavesOut: names.Contains("all"));
        int vcpus = isOther && !_vcpus.IsGiven(result)
            ? Math.Min(_vcpus.Of(result)!.Value, machines.Min(static machine => machine.Pes))
            : _vcpus.Of(result)!.Value;
        int seed = _seed.Of(result)!.Value;
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
            Shard = _shard.Of(result),
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

    /// <summary>
    /// The machines that have the memory. A user who asked for all gets those; one who named a machine without it is
    /// told.
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

            Notice.Write("left out: " + problem);
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
                $"'{text}' is no sweep", "write it as memory=1G..512G; --machine, --pages and --die "
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
}
