using System;
using System.Text;

namespace Quietus.Cli.Terminals;

/// <summary>
/// Text from a guest or from QEMU, made safe to print: no escape sequence of theirs reaches the terminal.
/// </summary>
internal static class Printable
{
    /// <summary>The line with every control character but tab replaced by a question mark.</summary>
    public static string Line(string text)
    {
        text = text.TrimEnd('\r', '\n');
        if (!text.AsSpan().ContainsAnyInRange('\0', '\x1f') && !text.AsSpan().ContainsAnyInRange('\x7f', '\x9f'))
        {
            return text;
        }

        var safe = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            safe.Append(char.IsControl(c) && c != '\t' ? '?' : c);
        }

        return safe.ToString();
    }
}
