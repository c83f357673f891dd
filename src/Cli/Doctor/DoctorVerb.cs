using System;
using System.CommandLine;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Doctor;

/// <summary><c>quietus doctor</c>: what this host has, what is missing, and the command that installs it.</summary>
internal static class DoctorVerb
{
    private static readonly Option<bool> _json = new("--json") { Description = "As JSON on stdout" };

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("doctor", "Say what this host has, what is missing, and how to get it") { _json };
        command.SetAction((result, _) => RunAsync(result.GetValue(_json), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(bool json, CancellationToken cancellation)
    {
        Examination examination = await Examination.MakeAsync(cancellation).ConfigureAwait(false);
        if (json)
        {
            using Stream output = StandardStreams.OpenOutput();
            DoctorDocument.Of(examination).Write(output);
        }
        else
        {
            WriteText(Console.Out, examination);
        }

        return examination.BenchCanRun ? ExitCode.Ok : ExitCode.NotSupported;
    }

    private static void WriteText(TextWriter writer, Examination examination)
    {
        foreach (Finding finding in examination.Findings)
        {
            string state = finding.Found ? "ok" : finding.Needed ? "MISSING" : "absent";
            string head = $"{state,-8} {finding.Name,-19} ";
            if (TextTable.Width < 2 * head.Length)
            {
                writer.WriteLine(head.TrimEnd());
                head = "  ";
            }

            TextTable.WriteHanging(writer, head, Printable.Line(finding.Detail));
            if (!finding.Found)
            {
                string remedy = finding.Remedy is null ? string.Empty : "; " + finding.Remedy;
                TextTable.WriteHanging(writer, new string(' ', head.Length), "it " + finding.Purpose + remedy);
            }
        }

        writer.WriteLine();
        if (examination.InstallCommand is string install)
        {
            writer.WriteLine("To install what is missing:\n  " + Style.Bold(install));
        }
        else if (!examination.HasApt && !examination.BenchCanRun)
        {
            writer.WriteLine("There is no apt here: install what is missing with this system's own tools.");
        }

        string end = examination.BenchCanRun
            ? "This host can run ./quietus bench."
            : "This host cannot run ./quietus bench yet.";
        TextTable.WriteHanging(writer, string.Empty, end);
    }
}
