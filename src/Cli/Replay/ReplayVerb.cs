using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Campaigns;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;
using Quietus.Cli.Terminals;
using Quietus.Simulator;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary><c>quietus replay</c>: a traced VM of a real KVM host, played again under each policy.</summary>
internal static class ReplayVerb
{
    private const string StandardInput = "-";

    private static readonly Argument<string[]> _files = new("traces")
    {
        Description = "Text of ftrace, trace-cmd or perf of a KVM host, also packed by gzip, zstd or xz; - is stdin",
        HelpName = "trace[.gz|.zst|.xz]",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private static readonly TextColumn<TracedVm>[] _vms =
    [
        new("process", 10, false, vm => vm.Process == 0 ? "unknown" : Whole(vm.Process)),
        new("threads", 8, false, vm => Whole(vm.Threads)),
        new("maps", 14, false, vm => Whole(vm.Maps)),
        new("first line", 12, false, vm => Whole(vm.FirstLine)),
        new("its death", 10, false, vm => vm.Dies ? "traced" : "-"),
    ];

    private static readonly Value<IReadOnlyList<string>> _machine = SimulationOptions.Machine();
    private static readonly Value<IReadOnlyList<string>> _set = SimulationOptions.Set();
    private static readonly Value<IReadOnlyList<MaintenancePolicy>> _policies =
        CommonOptions.Policies("before-series,series,fate");

    private static readonly Value<UnmapCause> _cause = new(
        "--cause", "why",
        "What the notifier's ranges are taken for, which the trace does not say: "
            + string.Join(", ", UnmapCause.All.Select(cause => cause.Name)),
        UnmapCause.Parse, UnmapCause.All[0].Name);

    private static readonly Value<int?> _pid = Values.Number(
        "--pid", "The process whose VM is meant, where the trace has several", "process", 1, int.MaxValue);

    private static readonly Option<bool> _list = new("--list")
    {
        Description = "Say which VMs the trace has, and replay none",
    };

    private static readonly Option<bool> _script = new("--record-script")
    {
        Description = "Print a shell script that records a trace; it runs as root on the host",
    };

    private static readonly Value<int?> _jobs = Values.Number(
        "--jobs", "With several traces: so many at a time; each may take 400 MB", "number of jobs", 1, 64, "1");

    private static readonly Value<Shard?> _shard = Campaigns.Shard.Option();

    private static readonly OutputOptions _outputs =
        new($"{ReplayDocument.Name}; of several traces {ReplaySetDocument.Name}", hasReport: false);

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("replay", "Play a traced VM of a real KVM host again: what it would have cost")
        {
            _files, _machine, _policies, _cause, _set, _pid, _jobs, _shard, _list, _script,
        };
        _outputs.AddTo(command);
        command.SetAction((result, _) => Task.FromResult(Run(result, cancellation)));
        return command;
    }

    private static int Run(ParseResult result, CancellationToken cancellation)
    {
        if (result.GetValue(_script))
        {
            Console.Out.Write(RecordScript());
            return ExitCode.Ok;
        }

        string[] files = [.. (result.GetValue(_files) ?? []).Distinct()];
        if (files.Length == 0)
        {
            throw CliException.Usage("no trace given", "./quietus replay --help shows what there is");
        }

        bool isMany = files.Length > 1 || _shard.IsGiven(result);
        if (result.GetValue(_list))
        {
            CommonOptions.Refuse(
                result, [_machine, _policies, _cause, _set, _pid, _jobs, _shard, .. _outputs.All], "with --list",
                "it names the VMs of a trace, and replays none");
            return isMany
                ? throw CliException.Usage("--list names the VMs of one trace", "give one trace at a time")
                : List(files[0], cancellation);
        }

        if (isMany)
        {
            CommonOptions.Refuse(
                result, [_pid], "with several traces", "play the trace that has several VMs alone");
            if (files.Contains(StandardInput))
            {
                throw CliException.Usage("stdin is one trace, and not to be read among others", "give files");
            }
        }
        else
        {
            CommonOptions.Refuse(result, [_jobs], "with one trace", "leave it out");
        }

        IReadOnlyList<string> changes = _set.IsGiven(result) ? _set.Of(result) : [];
        var plan = new ReplaySetPlan
        {
            Files = files,
            Machines = Machines.Parse(_machine.Of(result), changes),
            Policies = _policies.Of(result),
            Cause = _cause.Of(result),
            Shard = _shard.Of(result),
            Command = Command(result, files, changes),
        };
        Outputs outputs = _outputs.Read(result);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        int? process = _pid.Of(result);
        if (isMany)
        {
            return RunMany(
                plan, _jobs.Of(result)!.Value, file => Play(plan, file, process, cancellation), outputs, cancellation);
        }

        ReplayResult replayed = Play(plan, files[0], process, cancellation);
        outputs.Write(
            "rows", stream => ReplayDocument.Of(replayed).Write(stream), writer => ReplayTable.Write(writer, replayed));
        return ExitCode.Ok;
    }

    private static int RunMany(
        ReplaySetPlan plan, int jobs, Func<string, ReplayResult> play, Outputs outputs, CancellationToken cancellation)
    {
        ReplaySet set = ReplaySet.Run(plan, jobs, play, cancellation);
        outputs.Write(
            "rows", stream => ReplaySetDocument.Of(set).Write(stream), writer => ReplaySetTable.Write(writer, set));
        if (!set.IsComplete)
        {
            throw new OperationCanceledException(cancellation);
        }

        int failed = set.Traces.Count(trace => trace.Error is not null);
        if (failed == 0)
        {
            return ExitCode.Ok;
        }

        Console.Error.WriteLine($"quietus: {Counted.Of(failed, "trace")} could not be played; see the table");
        return ExitCode.Failed;
    }

    private static ReplayResult Play(ReplaySetPlan plan, string file, int? process, CancellationToken cancellation)
    {
        HostTrace trace = Read(file, stream => TraceReader.Read(stream, cancellation, process));
        return new ReplayResult
        {
            File = file,
            Process = process,
            Trace = trace,
            Machines = plan.Machines,
            Policies = plan.Policies,
            Cause = plan.Cause,
            Rows =
            [
                .. from machine in plan.Machines
                   from policy in plan.Policies
                   select Replayer.Run(trace, machine, policy, plan.Cause, cancellation),
            ],
            Command = plan.Command,
        };
    }

    /// <summary>The command that repeats it, every default written out.</summary>
    private static string Command(ParseResult result, IEnumerable<string> files, IEnumerable<string> changes) =>
        "./quietus replay " + string.Join(' ', files.Select(ShellWord.Quote))
            + " --machine " + string.Join(',', _machine.Of(result))
            + " --policy " + string.Join(',', _policies.Of(result).Select(policy => policy.Name))
            + " --cause " + _cause.Of(result).Name
            + (_pid.Of(result) is int pid ? string.Create(CultureInfo.InvariantCulture, $" --pid {pid}") : "")
            + string.Concat(changes.Select(change => " --set " + ShellWord.Quote(change)));

    private static int List(string file, CancellationToken cancellation)
    {
        TextTable.Write(Console.Out, _vms, Read(file, stream => TraceReader.List(stream, cancellation)));
        return ExitCode.Ok;
    }

    /// <summary>Reads a file, a FIFO, or <c>-</c>, which is stdin.</summary>
    private static T Read<T>(string file, Func<Stream, T> read)
    {
        try
        {
            using Stream stream = file == StandardInput
                ? Console.OpenStandardInput()
                : InputFile.Open($"'{file}'", file, "give the file of a trace, or - for stdin");
            return read(stream);
        }
        catch (TraceException error)
        {
            throw CliException.Usage($"{file}: {error.Message}", error.NextStep);
        }
        catch (IOException error)
        {
            throw CliException.Usage($"'{file}' cannot be read: {error.Message}", "give the file of a trace");
        }
    }

    private static string Whole(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static string RecordScript()
    {
        using var reader = new StreamReader(
            typeof(ReplayVerb).Assembly.GetManifestResourceStream("record-trace.sh")!);
        return reader.ReadToEnd();
    }
}
