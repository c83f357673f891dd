using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Oracle.Recording;

namespace Quietus.Cli.Check;

/// <summary>The part of <c>quietus check</c> that judges and records traces: docs/oracle-traces.md.</summary>
internal static class CheckTraces
{
    private static readonly Value<string?> _trace = Values.Text(
        "--trace", "file", "Judge a recorded trace instead");

    private static readonly Value<string?> _scenario = Values.Text(
        "--scenario", "name", "Judge a trace that is built in instead; 'list' names them");

    private static readonly Value<string?> _record = Values.Text(
        "--record", "file", "Write the violation's program, or the first one where there is none, as a trace");

    private static readonly Value<string?> _casemate = Values.Text(
        "--export-casemate", "file",
        "Write the trace, or the program that --record would write, as casemate's s-expressions");

    public static void AddTo(Command command)
    {
        command.Add(_trace);
        command.Add(_scenario);
        command.Add(_record);
        command.Add(_casemate);
    }

    /// <summary>Judges what was asked for; null where it is random programs.</summary>
    public static int? Run(ParseResult result, CancellationToken cancellation)
    {
        string? trace = _trace.Of(result);
        string? scenario = _scenario.Of(result);
        if (trace is null && scenario is null)
        {
            return null;
        }

        if (trace is not null && scenario is not null)
        {
            throw CliException.Usage("--trace and --scenario do not go together", "give one of them");
        }

        IEnumerable<string> others = result.CommandResult.Children.OfType<System.CommandLine.Parsing.OptionResult>()
            .Where(option => !option.Implicit && option.Option != _trace && option.Option != _scenario
                && option.Option != _casemate)
            .Select(option => option.Option.Name);
        if (others.FirstOrDefault() is string other)
        {
            throw CliException.Usage(
                $"{other} says nothing to a trace", "beside --trace and --scenario only --export-casemate does");
        }

        if (scenario == "list")
        {
            return List();
        }

        if (trace is null && !Scenarios.Names.Contains(scenario!))
        {
            throw CliException.Usage(
                $"there is no scenario '{Printable.Line(scenario!)}'", "'check --scenario list' names them");
        }

        string name = trace ?? scenario!;
        using Stream stream = trace is not null ? Open(trace) : Scenarios.Open(name)!;
        if (_casemate.Of(result) is not string export)
        {
            return Judge(stream, name, null, cancellation);
        }

        if (trace is not null && IsSameFile(trace, export))
        {
            throw CliException.Usage("--export-casemate would overwrite the trace", "give another file");
        }

        Prepare(result);
        using var events = new StringWriter();
        var writer = new CasemateWriter(events);
        int verdict = Judge(stream, name, writer, cancellation);
        writer.End();
        RequireExport(writer);
        WriteTo(export, file => file.Write(events.GetStringBuilder()));
        return verdict;
    }

    /// <summary>Runs a program once more and writes what its judge hears; nothing where none was asked for.</summary>
    public static void Record(ParseResult result, Action<IEventListener> run)
    {
        if (_record.Of(result) is string path)
        {
            WriteTo(path, file =>
            {
                var writer = new TraceWriter(file);
                run(writer);
                writer.End();
            });
            Console.WriteLine(Printable.Line($"recorded: ./quietus check --trace {path}"));
        }

        if (_casemate.Of(result) is string export)
        {
            WriteTo(export, file =>
            {
                var writer = new CasemateWriter(file);
                run(writer);
                writer.End();
                RequireExport(writer);
            });
        }
    }

    private static void RequireExport(CasemateWriter writer)
    {
        if (writer.Refusal is string why)
        {
            throw new CliException(ExitCode.Failed, why, "--record keeps it; another --seed may have 4K");
        }
    }

    /// <summary>Whether anything is to be written.</summary>
    public static bool Records(ParseResult result) =>
        _record.Of(result) is not null || _casemate.Of(result) is not null;

    /// <summary>Fails now, and not after the search, where the files cannot be written.</summary>
    public static void Prepare(ParseResult result)
    {
        ResultFile.Check([.. new[] { _record, _casemate }
            .Where(option => option.IsGiven(result))
            .Select(option => (option.Name, option.Of(result)!))]);
    }

    private static bool IsSameFile(string one, string other) => Path.GetFullPath(one) == Path.GetFullPath(other);

    private static void WriteTo(string path, Action<TextWriter> write) => ResultFile.Write(path, stream =>
    {
        using var file = new StreamWriter(stream);
        write(file);
    });

    private static int List()
    {
        foreach (string name in Scenarios.Names)
        {
            Console.WriteLine($"{name,-38}{Scenarios.About(name)}");
        }

        return ExitCode.Ok;
    }

    private static FileStream Open(string path) => InputFile.Open($"'{path}'", path, "give the file of a trace");

    private static int Judge(
        Stream trace, string name, IEventListener? listener, CancellationToken cancellation)
    {
        try
        {
            TraceOutcome outcome = TraceReader.Judge(trace, listener, cancellation);
            if (outcome.Violation is not { } broken)
            {
                Console.WriteLine($"{Counted.Of(outcome.Events, "check")}, no violation");
                return ExitCode.Ok;
            }

            Console.WriteLine(Style.Bold($"violation: {broken.Kind}") + $", line {outcome.Line}");
            TextTable.WriteHanging(Console.Out, "  =>  ", Printable.Line(broken.Text) + ".");
            return ExitCode.Failed;
        }
        catch (TraceFormatException error)
        {
            throw CliException.Usage(
                Printable.Line($"'{name}', {error.Message}"),
                "nothing was judged; docs/oracle-traces.md has the format, 'check --record' writes it");
        }
        catch (IOException error)
        {
            throw CliException.Usage(
                Printable.Line($"'{name}' cannot be read to its end: {error.Message}"), "nothing was judged");
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine("interrupted: the trace was not read to its end, and there is no verdict");
            return ExitCode.Interrupted;
        }
    }
}
