using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Churn;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Many;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Bench;

/// <summary><c>quietus bench</c>: what a VM's death costs, under each policy.</summary>
internal static partial class BenchVerb
{
    /// <summary>What each machine takes beside its RAM: QEMU itself and its translated code.</summary>
    private const long QemuItself = 128 * ByteSize.Megabyte;

    private static readonly Value<IReadOnlyList<string>> _guest = Values.List(
        "--guest", "names", "linux, filler, or both with a comma [default: linux, if fetched]",
        CommonOptions.ReadGuest);

    private static readonly Value<IReadOnlyList<long>> _memory =
        CommonOptions.MemoryList("Memory of the VMs, such as 64M,256M,1.5G", "256M");

    private static readonly Value<IReadOnlyList<string>> _pages = Values.List(
        "--pages", "sizes", "Stage-2 mappings: 4k, 2m, auto, with commas", PageSize.Parse, "4k");

    private static readonly Value<IReadOnlyList<MaintenancePolicy>> _policies = CommonOptions.Policies("all");

    private static readonly Value<Memory.PageFate> _fate = Values.Named(
        "--fate", "What is said of unmapped pages: freed, or unknown (then cleaned to the PoC)", "fate",
        [Memory.PageFate.AnonymousLastMappingFreed, Memory.PageFate.Unknown], Names.Name);

    private static readonly Value<int?> _jobs = Values.Number(
        "--jobs", "QEMU processes at a time [default: 2, or 1 on a single core]", "number of jobs", 1, 64);

    private static readonly Value<int?> _cpus = CommonOptions.Cpus("1");
    private static readonly Value<CpuModel> _cpu = CommonOptions.Cpu();
    private static readonly Value<TimeSpan?> _timeout = Values.Time(
        "--timeout", "Limit for each VM to dirty its memory, and to die [default: by its memory]");

    private static readonly Value<Shard?> _shard = Campaigns.Shard.Option();
    private static readonly OutputOptions _outputs = new(BenchDocument.Name);

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("bench", "Measure what killing and unmapping a VM costs, under each policy")
        {
            _guest, _memory, _pages, _policies, _fate, _cpu, _cpus, _jobs, _timeout, _against, _shard,
            ChurnVerb.Count, ChurnVerb.Until, ChurnVerb.From, BirthsVerb.Count, ManyVerb.Count,
        };
        _outputs.AddTo(command);
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        if (ChurnVerb.IsAsked(result))
        {
            CommonOptions.Refuse(
                result,
                [
                    .. ChurnVerb.From.IsGiven(result) ? [] : (Option[])[_guest], _memory, _policies, _fate, _jobs,
                    _outputs.Report!, _cpus, _against, BirthsVerb.Count, ManyVerb.Count,
                ],
                "with --churn",
                "it takes --lifetime, --cpu, --pages, --from (and --guest with it), --timeout, --shard, --json, --csv "
                    + "and --markdown");
            return await ChurnVerb.RunAsync(
                result, new ChurnOptions(_guest, _cpu, _pages, _timeout, _shard, _outputs), cancellation)
                .ConfigureAwait(false);
        }

        if (BirthsVerb.IsAsked(result))
        {
            CommonOptions.Refuse(
                result, [_policies, _fate, _jobs, _shard, ManyVerb.Count], "with --births",
                "it takes --guest, --memory, --pages, --cpu, --cpus, --timeout, --against, --json, --csv, --markdown "
                    + "and --report");
            return await BirthsVerb.RunAsync(
                result, new BirthsOptions(_guest, _memory, _pages, _cpu, _cpus, _timeout, _against, _outputs),
                cancellation)
                .ConfigureAwait(false);
        }

        if (ManyVerb.IsAsked(result))
        {
            CommonOptions.Refuse(
                result, [_memory, _pages, _policies, _fate, _cpus, _jobs, _shard, _against], "with --many",
                "it takes --guest, --cpu, --timeout, --json, --csv, --markdown and --report");
            return await ManyVerb.RunAsync(
                result, new ManyOptions(_guest, _cpu, _timeout, _outputs), cancellation).ConfigureAwait(false);
        }

        if (_shard.IsGiven(result) && _outputs.Report!.IsGiven(result))
        {
            throw CliException.Usage(
                "--report looks at all deaths, and a shard has a part of them",
                "./quietus merge puts the shards' documents together, and takes --report");
        }

        List<string> notes = [];
        bool isAgainst = _against.Of(result) is not null;
        BenchPlan plan = isAgainst ? ReadPlanAgainst(result) : ReadPlan(result, notes);
        Outputs outputs = _outputs.Read(result);
        CheckHost(plan);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        string image = CommonOptions.FindImage();
        foreach (string note in notes)
        {
            Notice.Write(note);
        }

        BenchResult measured = isAgainst
            ? await MeasureAgainstAsync(plan, qemu, image, cancellation).ConfigureAwait(false)
            : await MeasureAsync(plan, qemu, image, Repeat(plan), notes, cancellation).ConfigureAwait(false);
        outputs.Write(
            "rows", stream => BenchDocument.Of(measured).Write(stream), writer => BenchTable.Write(writer, measured),
            () => HtmlReport.Make(measured));
        return measured.IsComplete ? Judge(measured) : throw new OperationCanceledException(cancellation);
    }

    private static async Task<BenchResult> MeasureAsync(
        BenchPlan plan, QemuBinary qemu, string image, string command, IReadOnlyList<string> notes,
        CancellationToken cancellation)
    {
        using var progress = new BenchProgress((int)plan.Part.Length);
        return await new BenchRunner(plan, qemu, image, progress)
            .RunAsync(command, notes, cancellation)
            .ConfigureAwait(false);
    }

    private static BenchPlan ReadPlan(ParseResult result, List<string> notes)
    {
        IReadOnlyList<string> names = _guest.IsGiven(result) ? _guest.Of(result) : [DefaultGuest(notes)];
        IReadOnlyList<long> memory = _memory.Of(result);
        GuestPayload[] guests =
        [
            .. names.Select(name => name == GuestPayload.Filler
                ? GuestPayload.MakeFiller()
                : GuestPayload.MakeLinux(kernel: null, initrd: null)),
        ];
        foreach (GuestPayload guest in guests)
        {
            guest.CheckFits(memory.Min());
        }

        return new BenchPlan
        {
            Cpu = _cpu.Of(result),
            Cpus = _cpus.Of(result)!.Value,
            Guests = guests,
            MemoryBytes = memory,
            Pages = _pages.Of(result),
            Policies = _policies.Of(result),
            Fate = _fate.Of(result),
            Shard = _shard.Of(result),
            Jobs = _jobs.Of(result) ?? Math.Min(2, Environment.ProcessorCount),
            Limit = _timeout.Of(result) ?? DefaultLimit(memory.Max()),
        };
    }

    /// <summary>
    /// A minute, and one for every 256 MB: an emulated core on a busy host dirties 100 MB/s at worst.
    /// </summary>
    private static TimeSpan DefaultLimit(long memoryBytes) =>
        TimeSpan.FromMinutes(1 + (memoryBytes / (256.0 * ByteSize.Megabyte)));

    private static string DefaultGuest(List<string> notes)
    {
        if (LinuxGuest.Cached() is not null)
        {
            return GuestPayload.Linux;
        }

        notes.Add("no Linux kernel is cached (" + Folders.Cache + "): these are the filler guest's figures");
        return GuestPayload.Filler;
    }

    /// <summary>The machines that can be up at the same time have to fit the host, the largest first.</summary>
    private static void CheckHost(BenchPlan plan)
    {
        IReadOnlyList<BenchCase> cases = plan.Cases;
        CommonOptions.CheckHostMemory(plan.Boots
            .Select(boot => cases[boot[0]])
            .Select(sample => BenchPlan.MachineMemory(sample.Guest, sample.MemoryBytes) + QemuItself)
            .OrderDescending()
            .Take(plan.Jobs)
            .Sum());
    }

    /// <summary>The command that repeats this run, every default written out.</summary>
    private static string Repeat(BenchPlan plan) => string.Create(
        CultureInfo.InvariantCulture,
        $"./quietus bench --guest {string.Join(',', plan.Guests.Select(guest => guest.Name))}"
            + $" --memory {string.Join(',', plan.MemoryBytes.Select(ByteSize.FormatOption))}"
            + $" --pages {string.Join(',', plan.Pages)}"
            + $" --policies {string.Join(',', plan.Policies.Select(policy => policy.Name))} --fate {plan.Fate.Name()}"
            + $" --cpu {plan.Cpu.Name} --cpus {plan.Cpus} --jobs {plan.Jobs}");

    private static int Judge(BenchResult result)
    {
        if (result.FramesLost + result.FramesDamaged > 0)
        {
            Console.Error.WriteLine(
                $"quietus: {Counted.Of(result.FramesLost, "frame was", "frames were")} lost on the way, "
                    + $"{Counted.Of(result.FramesDamaged, "was", "were")} damaged");
            return ExitCode.Failed;
        }

        return Promises.Judge(Targets.Judge(result).All(target => target.Met));
    }
}
