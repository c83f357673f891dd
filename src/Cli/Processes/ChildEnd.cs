using System.Diagnostics;
using System.Globalization;

namespace Quietus.Cli.Processes;

/// <summary>How a child came to its end, for people.</summary>
internal static class ChildEnd
{
    /// <summary>Of a process that has ended.</summary>
    /// <remarks>.NET reports death by a signal as 128 plus its number, as a shell does.</remarks>
    public static string Describe(Process ended) => ended.ExitCode > 128
        ? string.Create(CultureInfo.InvariantCulture, $"killed by signal {ended.ExitCode - 128}")
        : string.Create(CultureInfo.InvariantCulture, $"exit code {ended.ExitCode}");
}
