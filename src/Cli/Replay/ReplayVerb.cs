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
    private static readonly Argument<string?> _file = new("trace")
    {
        Description = "Text of ftrace, trace-cmd or perf of a KVM host, also packed by gzip, zstd or xz; - is stdin",
        HelpName = "trace[.gz|.zst|.xz]",
        Arity = ArgumentArity.ZeroOrOne,
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

    private static readonly OutputOptions _outputs = new(ReplayDocument.Name, hasReport: false);

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("replay", "Play a traced VM of a real KVM host again: what it would have cost")
        {
            _file, _machine, _policies, _cause, _set, _pid, _list, _script,
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

        string file = result.GetValue(_file)
            ?? throw CliException.Usage("no trace given", "./quietus replay --help shows what there is");
        if (result.GetValue(_list))
        {
            CommonOptions.Refuse(
                result, [_machine, _policies, _cause, _set, _pid, .. _outputs.All], "with --list",
                "it names the VMs of a trace, and replays none");
            TextTable.Write(Console.Out, _vms, Read(file, stream => TraceReader.List(stream, cancellation)));
            return ExitCode.Ok;
        }

        IReadOnlyList<string> changes = _set.IsGiven(result) ? _set.Of(result) : [];
        IReadOnlyList<MachinePreset> machines = Machines.Parse(_machine.Of(result), changes);
        IReadOnlyList<MaintenancePolicy> policies = _policies.Of(result);
        UnmapCause cause = _cause.Of(result);
        Outputs outputs = _outputs.Read(result);
        HostTrace trace = Read(file, stream => TraceReader.Read(stream, cancellation, _pid.Of(result)));
        var replayed = new ReplayResult
        {
            File = file,
            Process = _pid.Of(result),
            Trace = trace,
            Machines = machines,
            Policies = policies,
            Cause = cause,
            Rows =
            [
                .. from machine in machines
                   from policy in policies
                   select Replayer.Run(trace, machine, policy, cause, cancellation),
            ],
            Command = "./quietus replay " + ShellWord.Quote(file)
                + " --machine " + string.Join(',', _machine.Of(result))
                + " --policy " + string.Join(',', policies.Select(policy => policy.Name))
                + " --cause " + cause.Name
                + (_pid.Of(result) is int pid ? string.Create(CultureInfo.InvariantCulture, $" --pid {pid}") : "")
                + string.Concat(changes.Select(change => " --set " + ShellWord.Quote(change))),
        };
        outputs.Write(
            "rows", stream => ReplayDocument.Of(replayed).Write(stream), writer => ReplayTable.Write(writer, replayed));
        return ExitCode.Ok;
    }

    /// <summary>Reads a file, a FIFO, or <c>-</c>, which is stdin.</summary>
    private static T Read<T>(string file, Func<Stream, T> read)
    {
        try
        {
            using Stream stream = file == "-"
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
