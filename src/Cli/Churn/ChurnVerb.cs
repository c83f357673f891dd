using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
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
    Value<CpuModel> Cpu, Value<IReadOnlyList<string>> Pages, Value<TimeSpan?> Timeout, OutputOptions Outputs);

/// <summary><c>quietus bench --churn</c>: many short lives on one machine, a verb of its own.</summary>
internal static class ChurnVerb
{
    private const int Most = 1_000_000;

    /// <summary>How many VMs; giving it is what asks for a churn.</summary>
    public static Value<int?> Count { get; } = Values.Number(
        "--churn", $"Instead: so many short-lived filler VMs in one boot ({ChurnDocument.Name})", "number of VMs", 1,
        Most);

    /// <summary>When each VM is killed.</summary>
    public static Value<string?> Until { get; } = Values.Choice(
        "--lifetime", "until", "With --churn, when each is killed: " + string.Join(", ", Lifetime.All), "lifetime",
        Lifetime.All, Lifetime.Filled);

    /// <summary>Whether the command line asks for a churn; a usage error where it only seems to.</summary>
    public static bool IsAsked(ParseResult result)
    {
        if (!Count.IsGiven(result))
        {
            CommonOptions.Refuse(result, [Until], "without --churn", "say how many: --churn 1000");
        }

        return Count.IsGiven(result);
    }

    /// <summary>Carries the churn out and writes what came of it.</summary>
    public static async Task<int> RunAsync(ParseResult result, ChurnOptions options, CancellationToken cancellation)
    {
        ChurnPlan plan = Read(result, options);
        Outputs outputs = options.Outputs.Read(result);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        int step = Math.Max(1, plan.Count / 20);
        ChurnResult churned = await new ChurnRunner(plan, qemu, CommonOptions.FindImage(), Progress)
            .RunAsync(cancellation)
            .ConfigureAwait(false);
        outputs.Write(
            "phases", stream => ChurnDocument.Of(churned).Write(stream),
            writer => ChurnTable.Write(writer, churned));
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
                Notice.Progress(string.Create(CultureInfo.InvariantCulture, $"[{done}/{plan.Count}] VMs"));
            }
        }
    }

    private static ChurnPlan Read(ParseResult result, ChurnOptions options)
    {
        int count = Count.Of(result)!.Value;
        string lifetime = Until.Of(result)!;
        CpuModel cpu = options.Cpu.Of(result);
        IReadOnlyList<string> pages = options.Pages.Of(result, "4k,2m");
        return new ChurnPlan
        {
            Count = count,
            Lifetime = lifetime,
            Cpu = cpu,
            Pages = pages,
            Limit = options.Timeout.Of(result) ?? TimeSpan.FromMinutes(1),
            Command = string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus bench --churn {count} --lifetime {lifetime} --cpu {cpu.Name}"
                    + $" --pages {string.Join(',', pages)}"),
        };
    }
}
