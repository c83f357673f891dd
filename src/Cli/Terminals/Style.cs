using System;

namespace Quietus.Cli.Terminals;

/// <summary>
/// When colour is used, decided once: the option, then the two environment conventions, then the terminal.
/// </summary>
internal enum ColorChoice
{
    Auto,
    Always,
    Never,
}

/// <summary>The little colour there is. It never carries meaning that the words do not carry as well.</summary>
internal static class Style
{
    /// <summary>What <c>--color</c> said.</summary>
    public static ColorChoice Choice { get; set; } = ColorChoice.Auto;

    public static string Red(string text) => Paint(text, "31;1", Console.IsErrorRedirected);

    public static string Bold(string text) => Paint(text, "1", Console.IsOutputRedirected);

    public static string Dim(string text) => Paint(text, "2", Console.IsOutputRedirected);

    /// <summary>Whether a stream gets colour.</summary>
    /// <param name="choice">The option.</param>
    /// <param name="redirected">True when the stream is not a terminal.</param>
    /// <param name="environment">Reads an environment variable.</param>
    public static bool UsesColor(ColorChoice choice, bool redirected, Func<string, string?> environment)
    {
        if (choice != ColorChoice.Auto)
        {
            return choice == ColorChoice.Always;
        }

        if (!string.IsNullOrEmpty(environment("NO_COLOR")))
        {
            return false;
        }

        string? force = environment("CLICOLOR_FORCE");
        if (!string.IsNullOrEmpty(force) && force != "0")
        {
            return true;
        }

        return !redirected && environment("TERM") != "dumb";
    }

    private static string Paint(string text, string code, bool redirected) =>
        UsesColor(Choice, redirected, Environment.GetEnvironmentVariable) ? $"\e[{code}m{text}\e[0m" : text;
}
