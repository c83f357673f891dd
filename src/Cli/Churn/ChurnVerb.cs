using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Campaigns;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Churn;

/// <summary>The options that a churn shares with the measurement of single deaths.</summary>
internal sealed record ChurnOptions(
    Value<IReadOnlyList<string>> Guest, Value<CpuModel> Cpu, Value<IReadOnlyList<string>> Pages,
    Value<TimeSpan?> Timeout, Value<Shard?> Shard, OutputOptions Outputs);

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

    /// <summary>What the VMs are made from.</summary>
    public static Value<string?> From { get; } = Values.Choice(
        "--from", "origin", "With --churn: template, each VM is a child of one that has booted", "origin",
        ["template"]);

    /// <summary>Whether the command line asks for a churn; a usage error where it only seems to.</summary>
    public static bool IsAsked(ParseResult result)
    {
        if (!Count.IsGiven(result))
        {
            CommonOptions.Refuse(result, [Until, From], "without --churn", "say how many: --churn 1000");
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
        long count = plan.Part.Length;
        long step = Math.Max(1, count / 20);
        ChurnResult churned = await new ChurnRunner(plan, qemu, CommonOptions.FindImage(), Progress)
            .RunAsync(cancellation)
            .ConfigureAwait(false);
        outputs.Write(
            "phases", stream => ChurnDocument.Of(churned).Write(stream),
            writer => ChurnTable.Write(writer, churned));
        if (!churned.Totals.IsSound)
        {
            Console.Error.WriteLine("quietus: memory did not come back as it should; see the table");
            return ExitCode.Failed;
        }

        return churned.IsInterrupted ? throw new OperationCanceledException(cancellation) : ExitCode.Ok;

        void Progress(int done)
        {
            if (done % step == 0 || done == count)
            {
                Notice.Progress(string.Create(CultureInfo.InvariantCulture, $"[{done}/{count}] VMs"));
            }
        }
    }

    private static ChurnPlan Read(ParseResult result, ChurnOptions options)
    {
        int count = Count.Of(result)!.Value;
        string lifetime = Until.Of(result)!;
        CpuModel cpu = options.Cpu.Of(result);
        IReadOnlyList<string> pages = options.Pages.Of(result, "4k,2m");
        GuestPayload? template = ReadTemplate(result, options, lifetime);
        return new ChurnPlan
        {
            Count = count,
            Shard = options.Shard.Of(result),
            Lifetime = lifetime,
            Cpu = cpu,
            Pages = pages,
            Template = template,
            Limit = options.Timeout.Of(result) ?? TimeSpan.FromMinutes(template?.Kernel is null ? 1 : 5),
            Command = string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus bench --churn {count} --lifetime {lifetime} --cpu {cpu.Name}"
                    + $" --pages {string.Join(',', pages)}"
                    + $"{(template is null ? string.Empty : " --from template --guest " + template.Name)}"),
        };
    }

    private static GuestPayload? ReadTemplate(ParseResult result, ChurnOptions options, string lifetime)
    {
        if (!From.IsGiven(result))
        {
            return null;
        }

        if (lifetime == Lifetime.Started)
        {
            throw CliException.Usage(
                "a template's child runs from its birth on: --lifetime started means nothing",
                "with --from template it takes created, filled and mixed");
        }

        string name = options.Guest.IsGiven(result) && options.Guest.Of(result) is [string only]
            ? only
            : options.Guest.IsGiven(result)
                ? throw CliException.Usage("the children of one template have one guest", "--guest takes one name here")
                : GuestPayload.Filler;
        return name == GuestPayload.Filler ? GuestPayload.MakeFiller() : GuestPayload.MakeLinux(null, null);
    }
}
