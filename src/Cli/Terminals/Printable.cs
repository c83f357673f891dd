using System;
using System.Linq;
using System.Text;
using Quietus.Wire;

namespace Quietus.Cli.Terminals;

/// <summary>
/// Text from a guest or from QEMU, made safe to print: no escape sequence of theirs reaches the terminal.
/// </summary>
internal static class Printable
{
    /// <summary>Several lines, each as <see cref="Line"/> makes it.</summary>
    public static string Lines(string text) => string.Join('\n', text.Split('\n').Select(Line));

    /// <summary>The line with every control character but tab replaced by a question mark.</summary>
    public static string Line(string text)
    {
        text = text.TrimEnd('\r', '\n');
        var safe = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            safe.Append(c == '\t' || SafeText.IsSafe(c) ? c : (char)SafeText.Replacement);
        }

        return safe.ToString();
    }
}
