using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Bench;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Births;

/// <summary>The options that births share with the measurement of single deaths.</summary>
internal sealed record BirthsOptions(
    Value<IReadOnlyList<string>> Guest, Value<IReadOnlyList<long>> Memory, Value<IReadOnlyList<string>> Pages,
    Value<CpuModel> Cpu, Value<int?> Cpus, Value<TimeSpan?> Timeout, Value<string?> Against, OutputOptions Outputs);

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
        BirthsPlan plan = options.Against.Of(result) is null ? Read(result, options) : ReadAgainst(result, options);
        Outputs outputs = options.Outputs.Read(result);
        CommonOptions.CheckHostMemory(plan.MachineBytes(plan.MemoryBytes.Max()));
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);

        // What is missing is told before anything is measured.
        KvmPeer? peer = plan.IsAgainstKvm ? KvmPeer.Find("./quietus bench --births --against kvm") : null;
        BirthsResult born = await new BirthsRunner(plan, qemu, CommonOptions.FindImage(), Notice.Progress)
            .RunAsync(cancellation)
            .ConfigureAwait(false);
        if (peer is not null && !born.IsInterrupted)
        {
            born = born with
            {
                Kvm = await new KvmBirthsRunner(plan, qemu, peer).RunAsync(cancellation).ConfigureAwait(false),
            };
        }

        outputs.Write(
            "rows", stream => BirthsDocument.Of(born).Write(stream), writer => BirthsTable.Write(writer, born),
            () => BirthsReport.Make(born));
        if (born.IsInterrupted)
        {
            throw new OperationCanceledException(cancellation);
        }

        return Promises.Judge(KvmBirthsComparison.Judge(born).All(target => target.Met));
    }

    /// <summary>A guest that both sides can have: the filler by 4K pages, one vCPU.</summary>
    private static BirthsPlan ReadAgainst(ParseResult result, BirthsOptions options)
    {
        CommonOptions.Refuse(
            result, [options.Guest, options.Pages, options.Cpus], "with --births --against kvm",
            "both sides have a small guest of ours by 4K pages with 1 vCPU");
        IReadOnlyList<long> memory = options.Memory.Of(result, "1G");
        Check(memory);
        if (memory.Max() > BenchVerb.MostAgainst)
        {
            throw CliException.Usage(
                $"Linux has no room for a snapshot of {ByteSize.Format(memory.Max())} in our machine",
                $"--against takes up to --memory {ByteSize.FormatOption(BenchVerb.MostAgainst)}");
        }

        int children = Count.Of(result)!.Value;
        CpuModel cpu = options.Cpu.Of(result);
        return new BirthsPlan
        {
            Children = children,
            Cpu = cpu,
            Cpus = 1,
            Guests = [GuestPayload.MakeFiller()],
            MemoryBytes = memory,
            Pages = ["4k"],
            IsAgainstKvm = true,
            Limit = options.Timeout.Of(result) ?? DefaultLimit(memory),
            Command = string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus bench --births {children} --against kvm"
                    + $" --memory {string.Join(',', memory.Select(ByteSize.FormatOption))} --cpu {cpu.Name}"),
        };
    }

    private static void Check(IReadOnlyList<long> memory)
    {
        if (memory.Min() < BirthsRunner.LeastMemory)
        {
            throw CliException.Usage(
                $"{ByteSize.Format(memory.Min())} are too little to measure writes in",
                $"--births takes --memory {ByteSize.FormatOption(BirthsRunner.LeastMemory)} or more");
        }
    }

    /// <summary>An emulated core on a busy host fills a template slowly.</summary>
    private static TimeSpan DefaultLimit(IReadOnlyList<long> memory) =>
        TimeSpan.FromMinutes(1 + (memory.Max() / (double)ByteSize.Gigabyte * 4));

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

        Check(memory);
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
            Limit = options.Timeout.Of(result) ?? DefaultLimit(memory),
            Command = string.Create(
                CultureInfo.InvariantCulture,
                $"./quietus bench --births {children} --guest {string.Join(',', names)}"
                    + $" --memory {string.Join(',', memory.Select(ByteSize.FormatOption))}"
                    + $" --pages {string.Join(',', pages)} --cpu {cpu.Name} --cpus {cpus}"),
        };
    }
}
