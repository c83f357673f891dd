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

namespace Quietus.Cli.Births;

/// <summary>The options that births share with the measurement of single deaths.</summary>
internal sealed record BirthsOptions(
    Value<IReadOnlyList<string>> Guest, Value<IReadOnlyList<long>> Memory, Value<IReadOnlyList<string>> Pages,
    Value<CpuModel> Cpu, Value<int?> Cpus, Value<TimeSpan?> Timeout, OutputOptions Outputs);

/// <summary><c>quietus bench --births</c>: templates and their children, a verb of its own.</summary>
internal static class BirthsVerb
{
    private const int Most = 10_000;

    /// <summary>How many children of each template; giving it is what asks for births.</summary>
    public static Value<int?> Count { get; } = new(
        "--births", "n",
        $"Instead: fork n children of each template, 10 unless it is said ({BirthsDocument.Name})",
        text => Values.ReadNumber(text, "--births", "number of children", 1, Most))
    {
        Bare = "10",
    };

    /// <summary>Whether the command line asks for births.</summary>
    public static bool IsAsked(ParseResult result) => Count.IsGiven(result);

    /// <summary>Measures, and writes what came of it.</summary>
    public static async Task<int> RunAsync(ParseResult result, BirthsOptions options, CancellationToken cancellation)
    {
        BirthsPlan plan = Read(result, options);
        Outputs outputs = options.Outputs.Read(result);
        CommonOptions.CheckHostMemory(plan.MemoryBytes.Max() + BirthsRunner.BesideMemory);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        BirthsResult born = await new BirthsRunner(plan, qemu, CommonOptions.FindImage(), Notice.Progress)
            .RunAsync(cancellation)
            .ConfigureAwait(false);
        outputs.Write(
            "rows", stream => BirthsDocument.Of(born).Write(stream), writer => BirthsTable.Write(writer, born));
        return born.IsInterrupted ? throw new OperationCanceledException(cancellation) : ExitCode.Ok;
    }

    private static BirthsPlan Read(ParseResult result, BirthsOptions options)
    {
        int children = Count.Of(result)!.Value;
        IReadOnlyList<string> names = options.Guest.IsGiven(result) ? options.Guest.Of(result)
            : LinuxGuest.Cached() is null ? [GuestPayload.Filler] : [GuestPayload.Filler, GuestPayload.Linux];
        GuestPayload[] guests =
        [
            .. names.Select(name => name == GuestPayload.Filler
                ? GuestPayload.MakeFiller()
                : GuestPayload.MakeLinux(kernel: null, initrd: null)),
        ];
        IReadOnlyList<long> memory = options.Memory.Of(result, "64M,256M,1G");
        IReadOnlyList<string> pages = options.Pages.Of(result, "4k,2m");
        foreach (GuestPayload guest in guests)
        {
            guest.CheckFits(memory.Min());
        }

        if (memory.Min() < BirthsRunner.LeastMemory)
        {
            throw CliException.Usage(
                $"{ByteSize.Format(memory.Min())} are too little to measure writes in",
                $"--births takes --memory {ByteSize.FormatOption(BirthsRunner.LeastMemory)} or more");
        }

        CpuModel cpu = options.Cpu.Of(result);
        int cpus = options.Cpus.Of(result)!.Value;
        return new BirthsPlan
        {
            Children = children,
            Cpu = cpu,
            Cpus = cpus,
            Guests = guests,
            MemoryBytes = memory,
            Pages = pages,
            Limit = options.Timeout.Of(result) ?? TimeSpan.FromMinutes(1 + (memory.Max() / (double)ByteSize.Gigabyte)),
            Command = string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus bench --births {children} --guest {string.Join(',', names)}"
                    + $" --memory {string.Join(',', memory.Select(ByteSize.FormatOption))}"
                    + $" --pages {string.Join(',', pages)} --cpu {cpu.Name} --cpus {cpus}"),
        };
    }
}
