using System;
using System.Globalization;
using System.IO;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.CommandLine;

/// <summary>How failures look on stderr.</summary>
internal static class ErrorReport
{
    /// <summary>Details are cut to the last lines: the end of a log is where the reason stands.</summary>
    private const int MostDetailLines = 40;

    public static int Write(CliException error)
    {
        Console.Error.WriteLine(Style.Red("quietus:") + " " + Printable.Lines(error.Message));
        if (!string.IsNullOrWhiteSpace(error.Details))
        {
            string[] lines = error.Details.TrimEnd().Split('\n');
            foreach (string line in lines[Math.Max(0, lines.Length - MostDetailLines)..])
            {
                Console.Error.WriteLine("  | " + Printable.Line(line));
            }
        }

        if (error.NextStep is not null)
        {
            Console.Error.WriteLine("  next: " + Printable.Lines(error.NextStep));
        }

        return error.ExitCode;
    }

    /// <summary>
    /// A defect of our own. The stack trace goes into a file, whose name is told, because the person at the terminal
    /// cannot use it and a developer needs all of it.
    /// </summary>
    public static int WriteInternal(Exception error)
    {
        string path = Path.Combine(
            Path.GetTempPath(),
            string.Create(CultureInfo.InvariantCulture, $"quietus-error-{Environment.ProcessId}.txt"));
        string where;
        try
        {
            File.WriteAllText(path, Environment.CommandLine + "\n\n" + error + "\n");
            where = "the details are in " + path;
        }
        catch (Exception unwritable) when (unwritable is IOException or UnauthorizedAccessException)
        {
            where = "the details could not be written to " + path;
        }

        Console.Error.WriteLine(
            Style.Red("quietus:") + $" internal error: {Printable.Line(error.Message)} ({error.GetType().Name})");
        Console.Error.WriteLine("  next: please report it; " + where);
        return ExitCode.Failed;
    }
}
