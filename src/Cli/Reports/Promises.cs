using System;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Reports;

/// <summary>What a measurement ends with where this project promises some of its figures.</summary>
internal static class Promises
{
    /// <summary>The exit code, and a line on stderr where one was missed.</summary>
    public static int Judge(bool areMet)
    {
        if (areMet)
        {
            return ExitCode.Ok;
        }

        Console.Error.WriteLine("quietus: a figure that this project promises was missed; see the table");
        return ExitCode.Failed;
    }
}
