using System;
using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading;

namespace Quietus.Cli.CommandLine;

/// <summary>
/// <c>quietus man</c> and <c>quietus completion</c>: a manual page and a shell's completions, made from the options
/// themselves, so that neither can name one that is not there.
/// </summary>
internal static class ManualVerb
{
    private static readonly Argument<string?> _verb = new("verb")
    {
        Description = "The verb that the page is about; none for an overview",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Argument<string> _shell = new("shell") { Description = "bash, zsh or fish" };

    public static Command MakeManual()
    {
        var command = new Command("man", "Write a manual page (roff), of all or of one verb") { _verb };
        command.SetAction(result => WriteManual(Console.Out, result.GetValue(_verb)));
        return command;
    }

    public static Command MakeCompletion()
    {
        var command = new Command("completion", "Write a shell's completion script: bash, zsh or fish") { _shell };
        command.SetAction(result => WriteCompletion(Console.Out, result.GetValue(_shell)!));
        return command;
    }

    private static int WriteManual(TextWriter writer, string? name)
    {
        RootCommand root = Commands.Make(CancellationToken.None);
        Command command = name is null ? root : root.Subcommands.FirstOrDefault(verb => verb.Name == name)
            ?? throw CliException.Usage(
                $"there is no verb '{name}'",
                "man takes " + string.Join(", ", root.Subcommands.Select(verb => verb.Name)));
        string title = name is null ? "quietus" : "quietus-" + name;
        writer.WriteLine($".TH {title.ToUpperInvariant()} 1 \"\" \"Quietus {ThisProgram.Version}\"");
        writer.WriteLine($".SH NAME\n{title} \\- {Roff(Summary(command))}");
        writer.WriteLine($".SH SYNOPSIS\n.B {title.Replace('-', ' ')}\n{Roff(Synopsis(command))}");
        if (name is null)
        {
            writer.WriteLine(".SH COMMANDS");
            foreach (Command verb in root.Subcommands)
            {
                writer.WriteLine($".TP\n.B {verb.Name}\n{Roff(Summary(verb))}");
            }
        }

        writer.WriteLine(".SH OPTIONS");
        foreach (Option option in Options(command, root))
        {
            writer.WriteLine($".TP\n.B {Roff(string.Join(", ", Names(option)))}"
                + (option.HelpName is null ? string.Empty : $" \\fI{Roff(option.HelpName)}\\fR"));
            writer.WriteLine(Roff(option.Description ?? string.Empty));
        }

        writer.WriteLine(".SH EXIT STATUS\n0 it worked; 1 a violation, a regression or a failure; 2 usage; 77 not");
        writer.WriteLine("supported here; 124 time limit; 129, 130, 143 ended by SIGHUP, SIGINT, SIGTERM.");
        if (name is not null && Commands.Examples.TryGetValue(name, out string? example))
        {
            writer.WriteLine($".SH EXAMPLE\n.nf\n{Roff(example)}\n.fi");
        }

        return ExitCode.Ok;
    }

    private static int WriteCompletion(TextWriter writer, string shell)
    {
        RootCommand root = Commands.Make(CancellationToken.None);
        switch (shell)
        {
            case "bash":
                writer.WriteLine("# bash completion of quietus; made by: quietus completion bash\n_quietus() {");
                writer.WriteLine("    local word=${COMP_WORDS[COMP_CWORD]} words");
                writer.WriteLine("    case ${COMP_WORDS[1]} in");
                foreach (Command verb in root.Subcommands)
                {
                    string names = string.Join(' ', Options(verb, root).SelectMany(Names));
                    writer.WriteLine($"    {verb.Name}) words='{names}' ;;");
                }

                writer.WriteLine("    esac");
                writer.WriteLine("    if ((COMP_CWORD == 1)); then");
                string verbs = string.Join(' ', root.Subcommands.Select(verb => verb.Name));
                writer.WriteLine($"        words='{verbs} help'");
                writer.WriteLine("    fi\n    COMPREPLY=($(compgen -W \"${words-}\" -- \"$word\"))\n}");
                writer.WriteLine("complete -o default -F _quietus quietus ./quietus");
                return ExitCode.Ok;
            case "zsh":
                writer.WriteLine("#compdef quietus\n# zsh completion of quietus; made by: quietus completion zsh");
                writer.WriteLine("if ((CURRENT == 2)); then\n    local -a verbs=(");
                foreach (Command verb in root.Subcommands)
                {
                    writer.WriteLine($"        {Single($"{verb.Name}:{Summary(verb)}")}");
                }

                writer.WriteLine("    )\n    _describe verb verbs\n    return\nfi\ncase $words[2] in");
                foreach (Command verb in root.Subcommands)
                {
                    writer.WriteLine($"{verb.Name})\n    _arguments \\");
                    foreach (Option option in Options(verb, root))
                    {
                        string value = option.HelpName is null ? string.Empty : $":{Zsh(option.HelpName)}:_default";
                        string about = $"[{Zsh(option.Description ?? string.Empty)}]{value}";
                        foreach (string name in Names(option))
                        {
                            writer.WriteLine($"        {Single(name + about)} \\");
                        }
                    }

                    writer.WriteLine("        '*:file:_files' ;;");
                }

                writer.WriteLine("esac");
                return ExitCode.Ok;
            case "fish":
                writer.WriteLine("# fish completion of quietus; made by: quietus completion fish");
                foreach (Command verb in root.Subcommands)
                {
                    writer.WriteLine(
                        $"complete -c quietus -n __fish_use_subcommand -f -a {verb.Name} -d {Single(Summary(verb))}");
                    foreach (Option option in Options(verb, root))
                    {
                        string names = string.Concat(Names(option).Select(name =>
                            name.StartsWith("--", StringComparison.Ordinal) ? $" -l {name[2..]}" : $" -s {name[1..]}"));
                        string value = option.HelpName is null ? string.Empty : " -r";
                        writer.WriteLine(
                            $"complete -c quietus -n '__fish_seen_subcommand_from {verb.Name}'{names}{value}"
                            + $" -d {Single(option.Description ?? string.Empty)}");
                    }
                }

                return ExitCode.Ok;
            default:
                throw CliException.Usage($"there is no completion for '{shell}'", "completion takes bash, zsh or fish");
        }
    }

    private static IEnumerable<Option> Options(Command command, RootCommand root) =>
        command.Options.Concat(root.Options.Where(option => option.Recursive)).Distinct()
            .Where(option => !option.Hidden);

    private static IEnumerable<string> Names(Option option) =>
        option.Aliases.Prepend(option.Name).Where(name => name.StartsWith('-') && !name.Contains('?'));

    private static string Summary(Command command) => (command.Description ?? string.Empty).Split('\n')[0];

    private static string Synopsis(Command command) => command is RootCommand
        ? "COMMAND [OPTION]..."
        : string.Join(
            ' ', command.Arguments.Select(argument => argument.HelpName ?? argument.Name).Append("[OPTION]..."));

    private static string Roff(string text) =>
        text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal);

    private static string Zsh(string text) => text
        .Replace("[", "\\[", StringComparison.Ordinal).Replace("]", "\\]", StringComparison.Ordinal)
        .Replace(":", "\\:", StringComparison.Ordinal);

    private static string Single(string text) => "'" + text.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}
