using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Quietus.Cli.Monitoring;

/// <summary>
/// One line of the monitor's language: words, and <c>key=value</c> pairs whose value is bare or a quoted string with
/// <c>\"</c> and <c>\\</c>. The same form carries commands, replies and events.
/// </summary>
internal sealed class KeyValueLine
{
    private readonly Dictionary<string, string> _values = [];

    private KeyValueLine(string text) => Text = text;

    /// <summary>The line as it came.</summary>
    public string Text { get; }

    /// <summary>
    /// The first word, when it is no pair: a reply's <c>ok</c>, <c>error</c> or <c>-</c>; else empty.
    /// </summary>
    public string Verb { get; private set; } = string.Empty;

    /// <summary>Reads a line. Anything can be read: what is malformed is kept as far as it makes sense.</summary>
    public static KeyValueLine Parse(string text)
    {
        var line = new KeyValueLine(text);
        int at = 0;
        bool first = true;
        while (at < text.Length)
        {
            if (text[at] == ' ')
            {
                at++;
                continue;
            }

            string word = Word(text, ref at);
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
            {
                line._values[word[..equals]] = Unquote(word[(equals + 1)..]);
            }
            else if (first)
            {
                line.Verb = word;
            }

            first = false;
        }

        return line;
    }

    /// <summary>A value as a command carries it: quoted when it has to be.</summary>
    public static string Quote(string value)
    {
        if (value.Length > 0 && !value.AsSpan().ContainsAny(" \"\\"))
        {
            return value;
        }

        return "\"" + value.Replace("\\", "\\\\", StringComparison.Ordinal)
            .Replace("\"", "\\\"", StringComparison.Ordinal) + "\"";
    }

    public string? Value(string key) => _values.GetValueOrDefault(key);

    /// <summary>A value by a name of Quietus.Wire's.</summary>
    public string? Value(ReadOnlySpan<byte> key) => Value(Encoding.ASCII.GetString(key));

    /// <summary>A number that the line has to have; an error that shows the line when it does not.</summary>
    public long Number(string key) => TryNumber(key)
        ?? throw new MonitorException($"the hypervisor's answer has no number '{key}': {Text}");

    /// <summary><see cref="Number(string)"/> by a name of Quietus.Wire's.</summary>
    public long Number(ReadOnlySpan<byte> key) => Number(Encoding.ASCII.GetString(key));

    public long? TryNumber(ReadOnlySpan<byte> key) => TryNumber(Encoding.ASCII.GetString(key));

    public long? TryNumber(string key) =>
        long.TryParse(Value(key), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)
            ? number
            : null;

    private static string Word(string text, ref int at)
    {
        int start = at;
        bool quoted = false;
        while (at < text.Length && (quoted || text[at] != ' '))
        {
            if (quoted && text[at] == '\\' && at + 1 < text.Length)
            {
                at++;
            }
            else if (text[at] == '"')
            {
                quoted = !quoted;
            }

            at++;
        }

        return text[start..at];
    }

    private static string Unquote(string value)
    {
        if (value.Length < 2 || value[0] != '"')
        {
            return value;
        }

        var plain = new StringBuilder(value.Length);
        for (int i = 1; i < value.Length && value[i] != '"'; i++)
        {
            if (value[i] == '\\' && i + 1 < value.Length)
            {
                i++;
            }

            plain.Append(value[i]);
        }

        return plain.ToString();
    }
}
