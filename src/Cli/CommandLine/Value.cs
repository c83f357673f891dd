using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Linq;

namespace Quietus.Cli.CommandLine;

/// <summary>
/// An option whose text is read once, by its type. What cannot be read is a usage error with a next step, and is found
/// while the command line is parsed: before anything is built, fetched or started.
/// </summary>
internal sealed class Value<T> : Option<T>
{
    private readonly Func<string, T> _read;
    private readonly string? _standard;

    /// <param name="name">With its dashes.</param>
    /// <param name="help">What stands for the value in the help.</param>
    /// <param name="description">One line for people.</param>
    /// <param name="read">Reads the text; throws <see cref="CliException"/>. Lists come with commas.</param>
    /// <param name="standard">What holds when the option is not given; null for the type's default.</param>
    public Value(string name, string help, string description, Func<string, T> read, string? standard = null)
        : base(name)
    {
        _read = read;
        _standard = standard;
        HelpName = help;
        Description = standard is null ? description : $"{description} [default: {standard}]";
        CustomParser = Parse;
    }

    /// <summary>What the option means when it is given without a value; null where it must have one.</summary>
    public string? Bare
    {
        get;
        init
        {
            field = value;
            Arity = value is null ? ArgumentArity.ExactlyOne : ArgumentArity.ZeroOrOne;
        }
    }

    /// <summary>Whether the command line has it.</summary>
    public bool IsGiven(ParseResult result) => result.GetResult(this) is { Implicit: false };

    /// <summary>What was given, or the standard value.</summary>
    public T Of(ParseResult result) =>
        IsGiven(result) ? result.GetValue(this)! : _standard is null ? default! : _read(_standard);

    /// <summary>What was given, or what stands in for it here.</summary>
    public T Of(ParseResult result, string otherwise) => IsGiven(result) ? result.GetValue(this)! : _read(otherwise);

    private T? Parse(ArgumentResult argument)
    {
        string text = argument.Tokens.Count == 0 && Bare is { } bare
            ? bare
            : string.Join(',', argument.Tokens.Select(token => token.Value));
        try
        {
            return string.IsNullOrWhiteSpace(text)
                ? throw CliException.Usage($"{Name} has an empty value", $"give {Name} a value, or leave it out")
                : _read(text);
        }
        catch (CliException error)
        {
            argument.AddError(error.Message + "\n" + error.NextStep);
            return default;
        }
    }
}

/// <summary>Options by what their values are.</summary>
internal static class Values
{
    /// <summary>Words that are taken as they come.</summary>
    public static Value<string?> Text(string name, string help, string description) =>
        new(name, help, description, text => text);

    /// <summary>A whole number within bounds.</summary>
    /// <param name="what">What it is a number of, for the error.</param>
    public static Value<int?> Number(
        string name, string description, string what, int least, int most, string? standard = null) =>
        new(name, "n", description, text => ReadNumber(text, name, what, least, most), standard);

    /// <summary>A list with commas, or by giving the option again; what is there twice counts once.</summary>
    public static Value<IReadOnlyList<T>> List<T>(
        string name, string help, string description, Func<string, T> read, string? standard = null) =>
        new(name, help, description, text => [.. Items(text, name).Select(read).Distinct()], standard);

    /// <summary>One of some names.</summary>
    /// <param name="what">What they name, for the error.</param>
    public static Value<string?> Choice(
        string name, string help, string description, string what, IReadOnlyList<string> names,
        string? standard = null) =>
        new(name, help, description, text => ReadChoice(text, name, what, names), standard);

    /// <summary>One of some values that have names; the first is the default.</summary>
    /// <param name="what">What the names name, for the error.</param>
    public static Value<T> Named<T>(
        string name, string description, string what, IReadOnlyList<T> values, Func<T, string> nameOf)
    {
        string[] names = [.. values.Select(nameOf)];
        return new(
            name, "name", description, text => values[Array.IndexOf(names, ReadChoice(text, name, what, names))],
            names[0]);
    }

    /// <summary>A time: 5s, 200ms, 2m, or seconds without a unit.</summary>
    public static Value<TimeSpan?> Time(string name, string description) =>
        new(name, "time", description, text => Duration.TryParse(text, out TimeSpan time)
            ? time
            : throw CliException.Usage(
                $"'{text}' is no time limit", $"{name} takes 300, 5s, 200ms or 2m: seconds where no unit stands"));

    /// <summary>Splits at commas.</summary>
    public static IReadOnlyList<string> Items(string text, string name)
    {
        string[] items = text.Split(',', StringSplitOptions.TrimEntries);
        return Array.TrueForAll(items, item => item.Length > 0)
            ? items
            : throw CliException.Usage($"{name} has an empty value", $"give {name} one value, or several with commas");
    }

    /// <summary>Reads a whole number within bounds.</summary>
    public static int ReadNumber(string text, string name, string what, int least, int most) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            && number >= least && number <= most
            ? number
            : throw CliException.Usage(
                $"'{text}' is no {what}",
                string.Create(CultureInfo.InvariantCulture, $"{name} takes {least} to {most}"));

    private static string ReadChoice(string text, string name, string what, IReadOnlyList<string> names) =>
        names.FirstOrDefault(known => known.Equals(text, StringComparison.OrdinalIgnoreCase))
        ?? throw CliException.Usage($"unknown {what} '{text}'", $"{name} takes {string.Join(", ", names)}");
}
