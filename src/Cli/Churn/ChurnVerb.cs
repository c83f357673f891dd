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
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Churn;

/// <summary>The options that a churn shares with the measurement of single deaths.</summary>
internal sealed record ChurnOptions(
    Option<string> Cpu, Option<string[]> Pages, Option<string?> Timeout, Option<string?> Json);

/// <summary><c>quietus bench --churn</c>: many short lives on one machine, a verb of its own.</summary>
internal static class ChurnVerb
{
    private const int Most = 1_000_000;

    /// <summary>How many VMs; giving it is what asks for a churn.</summary>
    public static Option<string?> Count { get; } = new("--churn")
    {
        Description = "Instead: so many short-lived filler VMs in one boot (quietus.churn/1)",
        HelpName = "n",
    };

    /// <summary>When each VM is killed.</summary>
    public static Option<string> Until { get; } = new("--lifetime")
    {
        Description = "With --churn, when each is killed: " + string.Join(", ", Lifetime.All),
        DefaultValueFactory = _ => Lifetime.Filled,
        HelpName = "until",
    };

    /// <summary>Whether the command line asks for a churn; a usage error where it only seems to.</summary>
    public static bool IsAsked(ParseResult result)
    {
        if (result.GetValue(Count) is not null)
        {
            return true;
        }

        return result.GetResult(Until) is { Implicit: false }
            ? throw CliException.Usage("--lifetime means nothing without --churn", "say how many: --churn 1000")
            : false;
    }

    /// <summary>Refuses what only the measurement of single deaths knows.</summary>
    public static void Refuse(ParseResult result, Option[] options)
    {
        if (options.FirstOrDefault(option => result.GetResult(option) is { Implicit: false }) is { } useless)
        {
            throw CliException.Usage(
                $"{useless.Name} means nothing with --churn",
                "it takes --lifetime, --cpu, --pages, --timeout and --json");
        }
    }

    /// <summary>Carries the churn out and writes what came of it.</summary>
    public static async Task<int> RunAsync(ParseResult result, ChurnOptions options, CancellationToken cancellation)
    {
        ChurnPlan plan = Read(result, options);
        string? json = result.GetValue(options.Json);
        if (json != "-")
        {
            CommonOptions.CheckWritable(json, "--json");
        }

        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        int step = Math.Max(1, plan.Count / 20);
        ChurnResult churned = await new ChurnRunner(plan, qemu, CommonOptions.FindImage(), Progress)
            .RunAsync(cancellation)
            .ConfigureAwait(false);
        if (json == "-")
        {
            using Stream output = StandardStreams.OpenOutput();
            ChurnOutput.WriteJson(output, churned);
        }
        else
        {
            ChurnOutput.WriteTable(Console.Out, churned);
            if (json is not null)
            {
                ResultFile.Write(json, stream => ChurnOutput.WriteJson(stream, churned));
            }
        }

        if (!churned.IsSound)
        {
            Console.Error.WriteLine("quietus: memory did not come back as it should; see the table");
            return ExitCode.Failed;
        }

        return churned.IsInterrupted ? throw new OperationCanceledException(cancellation) : ExitCode.Ok;

        void Progress(int done)
        {
            if (done % step == 0 || done == plan.Count)
            {
                Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"[{done}/{plan.Count}] VMs"));
            }
        }
    }

    private static ChurnPlan Read(ParseResult result, ChurnOptions options)
    {
        string given = result.GetValue(Count)!;
        if (!int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out int count)
            || count is < 1 or > Most)
        {
            throw CliException.Usage(
                $"'{Printable.Line(given)}' is no number of VMs", $"--churn takes 1 to {Most}");
        }

        string lifetime = result.GetValue(Until)!;
        if (!Lifetime.All.Contains(lifetime))
        {
            throw CliException.Usage(
                $"'{Printable.Line(lifetime)}' is no lifetime", "--lifetime takes " + string.Join(", ", Lifetime.All));
        }

        CpuModel cpu = CpuModel.Parse(result.GetValue(options.Cpu)!);
        IReadOnlyList<string> pages = result.GetResult(options.Pages) is { Implicit: false }
            ? PageSize.ParseList(CommonOptions.Items(result.GetValue(options.Pages), "--pages"))
            : PageSize.ParseList(["4k", "2m"]);
        return new ChurnPlan
        {
            Count = count,
            Lifetime = lifetime,
            Cpu = cpu,
            Pages = pages,
            Limit = CommonOptions.ReadTimeout(result.GetValue(options.Timeout)) ?? TimeSpan.FromMinutes(1),
            Command = string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus bench --churn {count} --lifetime {lifetime} --cpu {cpu.Name}"
                    + $" --pages {string.Join(',', pages)}"),
        };
    }
}
