using System;

namespace Quietus.Cli.Terminals;

/// <summary>What is said on stderr that is neither a result nor an error; <c>--quiet</c> silences it.</summary>
internal static class Notice
{
    private const int StatusWidth = 39;

    /// <summary>What <c>--quiet</c> said.</summary>
    public static bool IsQuiet { get; set; }

    /// <summary>Something that a person may want to know.</summary>
    public static void Write(string text) => Progress("quietus: " + text);

    /// <summary>A line on the terminal that the next one overwrites; nothing where stderr is no terminal.</summary>
    public static void Status(string text)
    {
        if (!IsQuiet && !Console.IsErrorRedirected)
        {
            string line = text.Length < StatusWidth ? text : text[..StatusWidth];
            Console.Error.Write("\r" + line.PadRight(StatusWidth) + (text.Length == 0 ? "\r" : string.Empty));
        }
    }

    /// <summary>How far the work is.</summary>
    public static void Progress(string text)
    {
        if (!IsQuiet)
        {
            Console.Error.WriteLine(Printable.Line(text));
        }
    }
}
