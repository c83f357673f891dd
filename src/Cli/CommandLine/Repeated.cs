using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;

namespace Quietus.Cli.CommandLine;

/// <summary>
/// An option that may be given several times; each text is read once, by its type, and may hold commas.
/// </summary>
internal sealed class Repeated<T> : Option<IReadOnlyList<T>>
{
    private readonly Func<string, T> _read;

    /// <param name="name">With its dashes.</param>
    /// <param name="help">What stands for the value in the help.</param>
    /// <param name="description">One line for people.</param>
    /// <param name="read">Reads one text; throws <see cref="CliException"/>.</param>
    public Repeated(string name, string help, string description, Func<string, T> read)
        : base(name)
    {
        _read = read;
        HelpName = help;
        Description = description;
        Arity = ArgumentArity.OneOrMore;
        AllowMultipleArgumentsPerToken = false;
        CustomParser = Parse;
    }

    /// <summary>What was given, in its order.</summary>
    public IReadOnlyList<T> Of(ParseResult result) => result.GetValue(this) ?? [];

    private List<T>? Parse(ArgumentResult argument)
    {
        List<T> values = [];
        foreach (Token token in argument.Tokens)
        {
            try
            {
                values.Add(_read(token.Value));
            }
            catch (CliException error)
            {
                argument.AddError(error.Message + "\n" + error.NextStep);
                return null;
            }
        }

        return values;
    }
}
