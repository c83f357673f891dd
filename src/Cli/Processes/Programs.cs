using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Threading;
using System.Threading.Tasks;

namespace Quietus.Cli.Processes;

/// <summary>Other programs: finding them, and asking them one thing.</summary>
internal static class Programs
{
    /// <summary>
    /// The path of a program: as given when it has a slash, else the first match on PATH; null when none.
    /// </summary>
    public static string? Find(string name)
    {
        if (name.Contains('/', StringComparison.Ordinal))
        {
            return IsExecutable(name) ? Path.GetFullPath(name) : null;
        }

        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(':'))
        {
            if (folder.Length > 0 && IsExecutable(Path.Combine(folder, name)))
            {
                return Path.Combine(folder, name);
            }
        }

        return null;
    }

    /// <summary>Runs a program to its end and returns what it wrote to stdout. Cancelling kills it.</summary>
    public static async Task<string> OutputAsync(
        string path, IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        using Process process = await ChildKeeper.StartAsync(ChildKeeper.Describe(path, arguments))
            .ConfigureAwait(false);
        try
        {
            process.StandardInput.Close();
            Task<string> errors = process.StandardError.ReadToEndAsync(cancellation);
            string output = await process.StandardOutput.ReadToEndAsync(cancellation).ConfigureAwait(false);
            await errors.ConfigureAwait(false);
            await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
            return output;
        }
        finally
        {
            ChildKeeper.Kill(process);
        }
    }

    private static bool IsExecutable(string path) =>
        File.Exists(path)
        && (File.GetUnixFileMode(path)
            & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) != 0;
}
