using System;
using System.Text;
using System.Text.RegularExpressions;

namespace Quietus.Cli.Run;

/// <summary>
/// Reads a Linux guest's console for a panic of its kernel, which no device reports: a kernel that panics hangs, or
/// resets the machine as a reboot does. What it says first and last stands in <c>kernel/panic.c</c>, and is the same
/// since Linux 4.14.
/// </summary>
internal sealed partial class PanicWatch
{
    private const int LongestLine = 512;

    private readonly StringBuilder _line = new();

    /// <summary>The kernel has panicked since its start; what it does next is the panic's doing.</summary>
    public bool HasPanicked { get; private set; }

    /// <summary>The kernel has said its last word, and nothing came after that: it hangs.</summary>
    public bool Hangs { get; private set; }

    /// <summary>Takes what the guest has printed.</summary>
    public void Take(ReadOnlySpan<byte> output)
    {
        foreach (byte value in output)
        {
            if (value == (byte)'\n')
            {
                TakeLine(_line.ToString());
                _line.Clear();
            }
            else if (value != (byte)'\r')
            {
                Hangs = false;
                if (_line.Length < LongestLine)
                {
                    _line.Append((char)value);
                }
            }
        }
    }

    private void TakeLine(string line)
    {
        switch (KernelSays().Match(line).Groups["words"].Value)
        {
            case "Kernel panic - not syncing":
                HasPanicked = true;
                break;
            case "---[ end Kernel panic - not syncing":
                Hangs = HasPanicked;
                break;
            case "reboot: ":
                // "reboot: Restarting system": the kernel could still be asked to.
                HasPanicked = false;
                break;
            default:
                break;
        }
    }

    /// <summary>
    /// The words at the start of a line, where a program would hardly have them, or behind printk's time, such as
    /// <c>[   12.345678] </c> or <c>[   12.345678][    T1] </c>, which may follow what a program has left on the line.
    /// </summary>
    [GeneratedRegex(
        @"(?:^|\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? )(?<words>(?:---\[ end )?Kernel panic - not syncing|reboot: )")]
    private static partial Regex KernelSays();
}
