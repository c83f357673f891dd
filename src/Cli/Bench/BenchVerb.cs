using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Churn;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
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

    private static readonly Option<string[]> _guest = new("--guest")
    {
        Description = "linux, filler, or both with a comma [default: linux, if fetched]",
        HelpName = "names",
    };

    private static readonly Option<string[]> _memory = new("--memory")
    {
        Description = "Memory of the VMs, such as 64M,256M,1G",
        DefaultValueFactory = _ => ["256M"],
        HelpName = "sizes",
    };

    private static readonly Option<string[]> _pages = new("--pages")
    {
        Description = "Stage-2 mappings: 4k, 2m, auto, with commas",
        DefaultValueFactory = _ => ["4k"],
        HelpName = "sizes",
    };

    private static readonly Option<string[]> _policies = new("--policies")
    {
        Description = "Which of " + string.Join(", ", MaintenancePolicy.All.Select(policy => policy.Name)) + "; or all",
        DefaultValueFactory = _ => ["all"],
        HelpName = "names",
    };

    private static readonly Option<string> _fate = new("--fate")
    {
        Description = "What is said of unmapped pages: " + string.Join(", ", UnmapFate.All)
            + " (then cleaned to the PoC)",
        DefaultValueFactory = _ => UnmapFate.Freed,
        HelpName = "name",
    };

    private static readonly Option<string?> _jobs = new("--jobs")
    {
        Description = "QEMU processes at a time [default: 2, or 1 on a single core]",
        HelpName = "n",
    };

    private static readonly Option<string?> _json = new("--json")
    {
        Description = "Write the result as JSON (quietus.bench/1); - for stdout instead of the table",
        HelpName = "file",
    };

    private static readonly Option<string?> _report = new("--report")
    {
        Description = "Write a self-contained HTML report",
        HelpName = "file.html",
    };

    private static readonly Option<string> _cpus = CommonOptions.Cpus(1);
    private static readonly Option<string> _cpu = CommonOptions.Cpu();
    private static readonly Option<string?> _timeout =
        CommonOptions.Timeout("Limit for each VM to dirty its memory, and to die [default: by its memory]");

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("bench", "Measure what killing and unmapping a VM costs, under each policy")
        {
            _guest, _memory, _pages, _policies, _fate, _cpu, _cpus, _jobs, _timeout, _against,
            ChurnVerb.Count, ChurnVerb.Until, _json, _report,
        };
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        if (ChurnVerb.IsAsked(result))
        {
            ChurnVerb.Refuse(result, [_guest, _memory, _policies, _fate, _jobs, _report, _cpus, _against]);
            return await ChurnVerb.RunAsync(
                result, new ChurnOptions(_cpu, _pages, _timeout, _json), cancellation).ConfigureAwait(false);
        }

        List<string> notes = [];
        bool isAgainst = IsAgainst(result);
        BenchPlan plan = isAgainst ? ReadPlanAgainst(result) : ReadPlan(result, notes);
        string? json = result.GetValue(_json);
        string? report = result.GetValue(_report);
        if (json != "-")
        {
            CommonOptions.CheckWritable(json, "--json");
        }

        CommonOptions.CheckWritable(report, "--report");
        CheckHost(plan);
        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        string image = CommonOptions.FindImage();
        foreach (string note in notes)
        {
            await Console.Error.WriteLineAsync("quietus: " + note).ConfigureAwait(false);
        }

        if (isAgainst)
        {
            BenchResult compared = await MeasureAgainstAsync(plan, qemu, image, cancellation).ConfigureAwait(false);
            Write(compared, json, report);
            return Judge(compared);
        }

        BenchResult measured;
        using (var progress = new BenchProgress(plan.Cases.Count))
        {
            measured = await new BenchRunner(plan, qemu, image, progress)
                .RunAsync(Repeat(plan), notes, cancellation)
                .ConfigureAwait(false);
        }

        Write(measured, json, report);
        return Judge(measured);
    }

    private static BenchPlan ReadPlan(ParseResult result, List<string> notes)
    {
        string[] given = result.GetValue(_guest) ?? [];
        IReadOnlyList<string> names = given.Length == 0
            ? [DefaultGuest(notes)]
            : [.. CommonOptions.Items(given, "--guest").Select(CommonOptions.ReadGuest).Distinct()];
        long[] memory =
        [
            .. CommonOptions.Items(result.GetValue(_memory), "--memory").Select(CommonOptions.ReadMemory).Distinct(),
        ];
        IReadOnlyList<string> pages =
            PageSize.ParseList(CommonOptions.Items(result.GetValue(_pages), "--pages"));
        IReadOnlyList<MaintenancePolicy> policies =
            MaintenancePolicy.ParseList(CommonOptions.Items(result.GetValue(_policies), "--policies"));
        CpuModel cpu = CpuModel.Parse(result.GetValue(_cpu)!);
        int cpus = CommonOptions.ReadCpus(result.GetValue(_cpus)!);
        string fate = result.GetValue(_fate)!;
        if (!UnmapFate.All.Contains(fate))
        {
            throw CliException.Usage(
                $"unknown fate '{Terminals.Printable.Line(fate)}'", "--fate takes " + string.Join(", ", UnmapFate.All));
        }

        int jobs = ReadJobs(result.GetValue(_jobs));
        TimeSpan? limit = CommonOptions.ReadTimeout(result.GetValue(_timeout));
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
            Cpu = cpu,
            Cpus = cpus,
            Guests = guests,
            MemoryBytes = memory,
            Pages = pages,
            Policies = policies,
            Fate = fate,
            Jobs = jobs,
            Limit = limit ?? DefaultLimit(memory.Max()),
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

    private static int ReadJobs(string? text)
    {
        if (text is null)
        {
            return Math.Min(2, Environment.ProcessorCount);
        }

        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int jobs)
            && jobs is >= 1 and <= 64
            ? jobs
            : throw CliException.Usage($"'{text}' is no number of jobs", "--jobs takes 1 to 64");
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
            + $" --policies {string.Join(',', plan.Policies.Select(policy => policy.Name))} --fate {plan.Fate}"
            + $" --cpu {plan.Cpu.Name} --cpus {plan.Cpus} --jobs {plan.Jobs}");

    private static void Write(BenchResult result, string? json, string? report)
    {
        if (json == "-")
        {
            using Stream output = StandardStreams.OpenOutput();
            BenchJson.Write(output, result);
        }
        else
        {
            BenchTable.Write(Console.Out, result);
            if (json is not null)
            {
                ResultFile.Write(json, stream => BenchJson.Write(stream, result));
            }
        }

        if (report is not null)
        {
            ResultFile.Write(report, stream =>
            {
                using var writer = new StreamWriter(stream);
                writer.Write(HtmlReport.Make(result));
            });
        }
    }

    private static int Judge(BenchResult result)
    {
        if (result.FramesLost + result.FramesDamaged > 0)
        {
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"quietus: {result.FramesLost} frames were lost on the way, {result.FramesDamaged} of them damaged"));
            return ExitCode.Failed;
        }

        if (Targets.Judge(result).Any(target => !target.Met))
        {
            Console.Error.WriteLine("quietus: a figure that this project promises was missed; see the table");
            return ExitCode.Failed;
        }

        return ExitCode.Ok;
    }
}
