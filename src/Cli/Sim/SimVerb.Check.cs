using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Oracle.Servers;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

// --check: the same lives and deaths, small ones, under the oracle's judge instead of with a bill.
internal static partial class SimVerb
{
    private const string CheckedMemory = "64M";
    private const string CheckedPolicies = "before-series,patch6,tables-only,fate";

    private static readonly Option<bool> _check = new("--check")
    {
        Description = $"Judge it by the oracle instead of pricing it [default memory: {CheckedMemory}, at most 1G; "
            + $"default policies: {CheckedPolicies}]",
    };

    private static int Check(ParseResult result, CancellationToken cancellation)
    {
        CommonOptions.Refuse(
            result, [_ablate, _jobs, _shard, .. _outputs.All], "with --check",
            "it judges, and has no times: leave one of the two out");
        SimulationPlan plan = ReadPlan(result, CheckedMemory, CheckedPolicies);
        if (plan.MemoryBytes.Max() > (long)JudgedLife.MostBytes)
        {
            throw CliException.Usage(
                $"--check judges VMs of up to {ByteSize.Format((long)JudgedLife.MostBytes)}, not of "
                    + ByteSize.Format(plan.MemoryBytes.Max()),
                "give less with --memory; what is wrong shows on small VMs as well");
        }

        if (plan.Vcpus > JudgedLife.MostVcpus)
        {
            throw CliException.Usage(
                string.Create(CultureInfo.InvariantCulture, $"--check judges up to {JudgedLife.MostVcpus} vCPUs"),
                "give fewer with --vcpus");
        }

        IReadOnlyList<string> machines = _machine.Of(result);
        IReadOnlyList<string> changes = _set.IsGiven(result) ? _set.Of(result) : [];
        long checks = 0;
        int lives = 0;
        int violations = 0;
        try
        {
            foreach (SimulationCase what in plan.Cases)
            {
                LifeOutcome outcome = Judge(what, cancellation, out List<string> story);
                lives++;
                checks += outcome.Events;
                string verdict = outcome.Violation is null ? "nothing found" : "a violation";
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"{what}: {Counted.Of(outcome.Events, "check")}, {verdict}"));
                if (outcome.Violation is { } violation)
                {
                    violations++;
                    Console.WriteLine(Style.Bold($"violation: {violation.Kind}"));
                    int number = 0;
                    foreach (string step in story)
                    {
                        TextTable.WriteHanging(
                            Console.Out, string.Create(CultureInfo.InvariantCulture, $"  {++number,2}  "), step);
                    }

                    TextTable.WriteHanging(Console.Out, "  =>  ", violation.Text + ".");
                    Console.WriteLine("again: " + Again(what, plan, machines, changes));
                    Console.WriteLine();
                }
            }
        }
        catch (OperationCanceledException)
        {
        }

        Console.WriteLine(
            string.Create(CultureInfo.InvariantCulture, $"{lives:N0} of ")
                + $"{Counted.Of(plan.Cases.Count, "life", "lives")}, {Counted.Of(checks, "check")}, "
                + Counted.Of(violations, "violation"));
        return violations > 0 ? ExitCode.Failed
            : lives < plan.Cases.Count ? throw new OperationCanceledException(cancellation)
            : ExitCode.Ok;
    }

    private static LifeOutcome Judge(SimulationCase what, CancellationToken cancellation, out List<string> story)
    {
        List<string> told = [];
        story = told;
        try
        {
            return JudgedLife.Run(what.Request, told.Add, cancellation);
        }
        catch (SimulationException error)
        {
            throw CliException.Usage($"{what}: {error.Problem}", error.Remedy);
        }
    }

    private static string Again(SimulationCase what, SimulationPlan plan, IReadOnlyList<string> given,
        IReadOnlyList<string> changes)
    {
        // A preset of one's own is known by its path, which only the command line has.
        IReadOnlyList<string> names = given.Contains("all") || given.Contains(what.Request.Machine.Name)
            ? [what.Request.Machine.Name]
            : given;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"./quietus sim --check --machine {string.Join(',', names.Select(ShellWord.Quote))}"
                + $" --memory {ByteSize.FormatOption((long)what.Request.MemoryBytes)}"
                + $" --pages {SimulationNames.Of(what.Request.Pages)} --die {SimulationNames.Of(what.Request.Death)}"
                + $" --policy {what.Policy.Name} --vcpus {plan.Vcpus} --seed {plan.Seed}")
            + string.Concat(changes.Select(change => " --set " + ShellWord.Quote(change)));
    }
}
