using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Many;

/// <summary>The options that many VMs share with the measurement of single deaths.</summary>
internal sealed record ManyOptions(
    Value<IReadOnlyList<string>> Guest, Value<CpuModel> Cpu, Value<TimeSpan?> Timeout, OutputOptions Outputs);

/// <summary><c>quietus bench --many</c>: many VMs alive at once on few cores, a verb of its own.</summary>
internal static class ManyVerb
{
    private const int Most = 4000;

    /// <summary>What each machine takes beside its RAM: QEMU itself and its translated code.</summary>
    private const long QemuItself = 256 * ByteSize.Megabyte;

    /// <summary>How many VMs; giving it is what asks for them.</summary>
    public static Value<int?> Count { get; } = new(
        "--many", "n",
        $"Instead: n VMs alive at once, 100 unless it is said; 1000 is promised ({ManyDocument.Name})",
        text => Values.ReadNumber(text, "--many", "number of VMs", 1, Most))
    {
        Bare = "100",
    };

    /// <summary>Whether the command line asks for many VMs.</summary>
    public static bool IsAsked(ParseResult result) => Count.IsGiven(result);

    /// <summary>Measures, and writes what came of it.</summary>
    public static async Task<int> RunAsync(ParseResult result, ManyOptions options, CancellationToken cancellation)
    {
        ManyPlan plan = Read(result, options);
        Outputs outputs = options.Outputs.Read(result);
        CommonOptions.CheckHostMemory(plan.MachineMemory + QemuItself);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        ManyResult many = await new ManyRunner(plan, qemu, CommonOptions.FindImage(), Notice.Progress)
            .RunAsync(cancellation)
            .ConfigureAwait(false);
        outputs.Write(
            "rows", stream => ManyDocument.Of(many).Write(stream), writer => ManyTable.Write(writer, many),
            () => ManyReport.Make(many));
        if (many.IsInterrupted)
        {
            throw new OperationCanceledException(cancellation);
        }

        return Promises.Judge(many.Figures.All(figure => figure.IsMet != false));
    }

    private static ManyPlan Read(ParseResult result, ManyOptions options)
    {
        int count = Count.Of(result)!.Value;
        string guest = !options.Guest.IsGiven(result)
            ? LinuxGuest.Cached() is null ? GuestPayload.Filler : GuestPayload.Linux
            : options.Guest.Of(result) is [string only] ? only
            : throw CliException.Usage("the children of one template have one guest", "--guest takes one name here");
        CpuModel cpu = options.Cpu.Of(result);
        return new ManyPlan
        {
            Vms = count,
            Cpu = cpu,
            Guest = guest == GuestPayload.Filler ? GuestPayload.MakeFiller() : GuestPayload.MakeLinux(null, null),
            Limit = options.Timeout.Of(result) ?? TimeSpan.FromMinutes(10),
            Command = string.Create(
                CultureInfo.InvariantCulture, $"./quietus bench --many {count} --guest {guest} --cpu {cpu.Name}"),
        };
    }
}
