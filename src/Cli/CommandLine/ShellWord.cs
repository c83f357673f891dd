using System.Linq;

namespace Quietus.Cli.CommandLine;

/// <summary>Words of a command line that can be pasted into a shell.</summary>
internal static class ShellWord
{
    public static string Quote(string word) =>
        word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || "-_=.,/:+%@".Contains(c))
            ? word
            : "'" + word.Replace("'", "'\\''", System.StringComparison.Ordinal) + "'";
}
