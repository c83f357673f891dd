using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;
using Quietus.Cli.Errors;
using Quietus.Cli.Terminals;
using Quietus.Oracle.Recording;

namespace Quietus.Cli.Verbs;

/// <summary>The part of <c>quietus check</c> that judges and records traces: docs/oracle-traces.md.</summary>
internal static class CheckTraces
{
    private static readonly Option<string?> _trace = new("--trace")
    {
        Description = "Judge a recorded trace instead",
        HelpName = "file",
    };

    private static readonly Option<string?> _scenario = new("--scenario")
    {
        Description = "Judge a trace that is built in instead; 'list' names them",
        HelpName = "name",
    };

    private static readonly Option<string?> _record = new("--record")
    {
        Description = "Write the violation's program, or the first one where there is none, as a trace",
        HelpName = "file",
    };

    public static void AddTo(Command command)
    {
        command.Add(_trace);
        command.Add(_scenario);
        command.Add(_record);
    }

    /// <summary>Judges what was asked for; null where it is random programs.</summary>
    public static int? Run(ParseResult result, CancellationToken cancellation)
    {
        string? trace = result.GetValue(_trace);
        string? scenario = result.GetValue(_scenario);
        if (trace is null && scenario is null)
        {
            return null;
        }

        if (trace is not null && scenario is not null)
        {
            throw CliException.Usage("--trace and --scenario do not go together", "give one of them");
        }

        IEnumerable<string> others = result.CommandResult.Children.OfType<System.CommandLine.Parsing.OptionResult>()
            .Where(option => !option.Implicit && option.Option != _trace && option.Option != _scenario)
            .Select(option => option.Option.Name);
        if (others.FirstOrDefault() is string other)
        {
            throw CliException.Usage(
                $"{other} says nothing to a trace", "leave it out; --trace and --scenario stand alone");
        }

        return trace is not null ? JudgeFile(trace, cancellation)
            : scenario == "list" ? List()
            : Scenarios.Open(scenario!) is Stream stream ? Judge(stream, scenario!, cancellation)
            : throw CliException.Usage(
                $"there is no scenario '{Printable.Line(scenario!)}'", "'check --scenario list' names them");
    }

    /// <summary>Runs a program once more and writes what its judge hears; nothing where none was asked for.</summary>
    public static void Record(ParseResult result, Action<IEventListener> run)
    {
        if (result.GetValue(_record) is not string path)
        {
            return;
        }

        try
        {
            using var file = new StreamWriter(path);
            var writer = new TraceWriter(file);
            run(writer);
            writer.End();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new CliException(
                ExitCode.Usage, Printable.Line($"'{path}' cannot be written: {error.Message}"), "give another file");
        }

        Console.WriteLine(Printable.Line($"recorded: ./quietus check --trace {path}"));
    }

    private static int List()
    {
        foreach (string name in Scenarios.Names)
        {
            Console.WriteLine($"{name,-38}{Scenarios.About(name)}");
        }

        return ExitCode.Ok;
    }

    private static int JudgeFile(string path, CancellationToken cancellation)
    {
        try
        {
            return Judge(File.OpenRead(path), path, cancellation);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException
            or NotSupportedException)
        {
            throw CliException.Usage(
                Printable.Line($"'{path}' cannot be read: {error.Message}"), "give the file of a trace");
        }
    }

    private static int Judge(Stream trace, string name, CancellationToken cancellation)
    {
        using Stream closed = trace;
        try
        {
            TraceOutcome outcome = TraceReader.Judge(trace, null, cancellation);
            if (outcome.Violation is not { } broken)
            {
                Console.WriteLine($"{outcome.Events} checks, no violation");
                return ExitCode.Ok;
            }

            Console.WriteLine(Style.Bold($"violation: {broken.Kind}") + $", line {outcome.Line}");
            Console.WriteLine($"   => {Printable.Line(broken.Text)}");
            return ExitCode.Failed;
        }
        catch (TraceFormatException error)
        {
            throw CliException.Usage(
                Printable.Line($"'{name}', {error.Message}"),
                "nothing was judged; docs/oracle-traces.md has the format, 'check --record' writes it");
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine("interrupted: the trace was not read to its end, and there is no verdict");
            return ExitCode.Interrupted;
        }
    }
}
