using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Architectures;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

// Machines of other architectures, whose hooks patch 1 changed as well: their deaths, and the table of the hooks.
internal static partial class SimVerb
{
    private const string OtherMemory = "1G";
    private const string HooksMachine = "d05";

    private static readonly Option<bool> _hooks = new("--hooks")
    {
        Description = "Show what each architecture's hook did in Linux 5.5, and does with the event "
            + $"[default memory: {OtherMemory}; default machines: d05 and one of each architecture]",
    };

    /// <summary>Deaths on machines that are not arm64's, with their own words for what is issued.</summary>
    private static int RunOthers(ParseResult result, CancellationToken cancellation)
    {
        bool isChecked = result.GetValue(_check);
        CommonOptions.Refuse(
            result, [_ablate], "with a machine of another architecture", "patches 5 to 7 are arm64's: leave it out");
        if (isChecked)
        {
            CommonOptions.Refuse(
                result, [_jobs, .. _outputs.All], "with --check",
                "it judges, and has no times: leave one of the two out");
        }

        SimulationPlan plan = ReadPlan(result, isChecked ? CheckedMemory : OtherMemory, string.Empty);
        foreach (MachinePreset machine in plan.Machines)
        {
            Architecture architecture = Architecture.Of(machine);
            foreach (Refusal refusal in plan.Policies.Select(policy => architecture.WhyNot(policy.Engine, machine))
                .Concat(plan.Pages.Select(pages => architecture.WhyNot(pages, machine))).OfType<Refusal>())
            {
                throw CliException.Usage(refusal.Problem, Lowered(refusal.Remedy));
            }
        }

        if (isChecked)
        {
            return CheckOthers(plan, cancellation);
        }

        Outputs outputs = _outputs.Read(result);
        IReadOnlyList<ArchitectureRow> rows = Each(
            plan.Cases, _jobs.Of(result) ?? Environment.ProcessorCount,
            what => new ArchitectureRow(what.Policy, Simulated(what.ToString(), () =>
                ArchitectureRun.Die(what.Request, isChecked: false, cancellation))), cancellation);
        outputs.Write(
            "rows", stream => ArchitectureDocument.Of(plan, rows).Write(stream),
            writer => ArchitectureTable.Write(writer, rows), () => ArchitectureReport.Make(plan, rows));
        return rows.Count == plan.Cases.Count ? ExitCode.Ok : throw new OperationCanceledException(cancellation);
    }

    /// <summary>Under the guard: nothing is freed or changed before its flush is complete.</summary>
    private static int CheckOthers(SimulationPlan plan, CancellationToken cancellation)
    {
        long checks = 0;
        int violations = 0;
        foreach (SimulationCase what in plan.Cases)
        {
            ArchitectureResult outcome = Simulated(
                what.ToString(), () => ArchitectureRun.Die(what.Request, isChecked: true, cancellation));
            checks += outcome.Checks;
            violations += outcome.Violations.Count == 0 ? 0 : 1;
            string verdict = outcome.Violations.Count == 0 ? "nothing found" : "a violation";
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{what}: {outcome.Checks:N0} checks, {verdict}"));
            foreach (string violation in outcome.Violations.Take(1))
            {
                TextTable.WriteHanging(Console.Out, "  =>  ", violation + ".");
            }
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{plan.Cases.Count:N0} lives, {checks:N0} checks that nothing is freed before its flush is complete, "
                + $"{violations:N0} violations"));
        return violations > 0 ? ExitCode.Failed : ExitCode.Ok;
    }

    private static int ShowHooks(ParseResult result, CancellationToken cancellation)
    {
        CommonOptions.Refuse(
            result, [_pages, _die, _policies, _ablate, _sweep, _seed, _calibration, _check], "with --hooks",
            "the table has every event, under Linux 5.5 and fate: leave one of the two out");
        IReadOnlyList<string> changes = _set.IsGiven(result) ? _set.Of(result) : [];
        IReadOnlyList<string> names = _machine.IsGiven(result)
            ? _machine.Of(result)
            : [HooksMachine, .. MachinePreset.Names(Machines.OthersFolder)];
        IReadOnlyList<MachinePreset> machines = Machines.ParseAny(names, changes);
        IReadOnlyList<long> memory = _memory.Of(result, OtherMemory);
        if (memory.Count != 1)
        {
            throw CliException.Usage("the table is of one size of memory", "give one with --memory");
        }

        int vcpus = _vcpus.Of(result)!.Value;
        Outputs outputs = _outputs.Read(result);
        (MachinePreset Machine, HookEvent What)[] cells =
            [.. machines.SelectMany(HookTable.EventsOf, static (machine, what) => (machine, what))];
        IReadOnlyList<HookRow> rows = Each(
            cells, _jobs.Of(result) ?? Environment.ProcessorCount,
            cell => Simulated(
                $"{cell.Machine.Name} {HooksTable.NameOf(cell.What)}",
                () => HookTable.Run(cell.Machine, cell.What, (ulong)memory[0], vcpus, cancellation)),
            cancellation);
        HooksRun run = new()
        {
            Machines = machines,
            MemoryBytes = memory[0],
            Vcpus = vcpus,
            Command = string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus sim --hooks --machine {string.Join(',', names.Select(ShellWord.Quote))}"
                    + $" --memory {ByteSize.FormatOption(memory[0])} --vcpus {vcpus}")
                + string.Concat(changes.Select(static change => " --set " + ShellWord.Quote(change))),
            Rows = rows,
        };
        outputs.Write(
            "rows", stream => HooksDocument.Of(run).Write(stream), writer => HooksTable.Write(writer, run),
            () => HooksTable.Report(run));
        return run.IsComplete ? ExitCode.Ok : throw new OperationCanceledException(cancellation);
    }

    /// <summary>Does the work for each, several at a time; when it is interrupted, gives what was done.</summary>
    private static IReadOnlyList<TRow> Each<TCase, TRow>(
        IReadOnlyList<TCase> cases, int jobs, Func<TCase, TRow> work, CancellationToken cancellation)
        where TRow : class
    {
        var rows = new TRow?[cases.Count];
        using var progress = WorkProgress.Start(cases.Count, "filling");
        try
        {
            Parallel.For(
                0, cases.Count,
                new ParallelOptions { MaxDegreeOfParallelism = jobs, CancellationToken = cancellation },
                index =>
                {
                    progress.Begins(cases[index]!.ToString()!);
                    rows[index] = work(cases[index]);
                    progress.Finished(cases[index]!.ToString()!);
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

        return [.. rows.OfType<TRow>()];
    }

    private static T Simulated<T>(string what, Func<T> run)
    {
        try
        {
            return run();
        }
        catch (SimulationException error)
        {
            throw CliException.Usage($"{what}: {error.Problem}", Lowered(error.Remedy));
        }
    }

    /// <summary>The policies that every one of the machines has, by their names.</summary>
    private static string OfferedBy(IReadOnlyList<MachinePreset> machines) => string.Join(
        ',', MaintenancePolicy.All.Where(policy => machines.All(machine =>
            Architecture.Of(machine).WhyNot(policy.Engine, machine) is null)).Select(static policy => policy.Name));

    private static string BasePagesOf(IReadOnlyList<MachinePreset> machines) =>
        machines.All(static machine => machine["base_page"] > 4096) ? "64k" : "4k";

    private static string Lowered(string remedy) => new StringBuilder(remedy.TrimEnd('.'))
    {
        [0] = char.ToLowerInvariant(remedy[0]),
    }.ToString();
}
