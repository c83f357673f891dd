using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Bench;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Check;
using Quietus.Cli.Compare;
using Quietus.Cli.Doctor;
using Quietus.Cli.Exec;
using Quietus.Cli.Probe;
using Quietus.Cli.Replay;
using Quietus.Cli.Run;
using Quietus.Cli.Serve;
using Quietus.Cli.Sim;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.CommandLine;

/// <summary>The verbs, and what is common to all of them.</summary>
internal static class Commands
{
    private const string Summary =
        "Quietus: a hypervisor for 64-bit Arm, in C#, whose virtual machines die at once.\n"
        + "Exit codes: 0 ok, 1 failed, 2 usage, 77 not supported here, 124 time limit, 130 interrupted.";

    private const string SeeHelp = "./quietus --help shows what there is";

    /// <summary>How wide a help is that goes to no terminal.</summary>
    private const int PipedWidth = 100;

    /// <summary>
    /// <c>quietus [validate] …</c> says what is wrong with a command line and does nothing: the script asks before it
    /// builds or fetches anything.
    /// </summary>
    private static readonly Directive _validate = new("validate");

    /// <summary>A command that works as it stands, for each verb.</summary>
    public static Dictionary<string, string> Examples { get; } = [];

    /// <summary>
    /// Whether the command line is only to be checked: what a verb needs of the host may be missing still.
    /// </summary>
    public static bool OnlyValidates(ParseResult result) => result.GetResult(_validate) is not null;

    /// <summary>
    /// Parses the arguments and runs the verb. Usage errors are ours to report: the parser's code is 1.
    /// </summary>
    public static async Task<int> RunAsync(string[] arguments, CancellationToken cancellation)
    {
        RootCommand root = Make(cancellation);
        ParseResult result = root.Parse(
            AskingForHelp(arguments), new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (result.Errors.Count > 0 && result.Action is not HelpWithExample)
        {
            throw Usage(arguments, result, root);
        }

        Style.Choice = Enum.Parse<ColorChoice>(CommonOptions.Color.Of(result)!, ignoreCase: true);
        Notice.IsQuiet = result.GetValue(CommonOptions.Quiet);
        var configuration = new InvocationConfiguration
        {
            EnableDefaultExceptionHandler = false,

            // Signals are ours: see Interruption.
            ProcessTerminationTimeout = null,
        };
        try
        {
            return await result.InvokeAsync(configuration, cancellation).ConfigureAwait(false);
        }
        catch (CliException error) when (OnlyValidates(result) && error.ExitCode == ExitCode.NotSupported)
        {
            return ExitCode.Ok;
        }
    }

    /// <summary>All commands, with their options.</summary>
    public static RootCommand Make(CancellationToken cancellation)
    {
        var root = new RootCommand(Summary);
        root.Options.Add(CommonOptions.Color);
        root.Options.Add(CommonOptions.Quiet);
        root.Directives.Add(_validate);
        Add(ExecVerb.Make(cancellation), "./quietus exec --memory 256M --timeout 30s -- uname -a");
        Add(RunVerb.Make(cancellation), "./quietus run --memory 512M --cpus 2");
        Add(TemplateVerb.Make(cancellation), "./quietus template build python --file python.json");
        Add(ServeVerb.Make(cancellation), "./quietus serve --template python --listen unix:quietus.sock");
        Add(BenchVerb.Make(cancellation), "./quietus bench --guest filler --memory 64M,256M --json bench.json");
        Add(SimVerb.Make(cancellation), "./quietus sim --machine d05 --memory 64G --pages 2m --ablate");
        Add(ReplayVerb.Make(cancellation), "./quietus replay tests/Traces.Tests/Data/munmap-2M-4k.txt.gz");
        Add(ProbeVerb.Make(cancellation), "./quietus probe --memory 64M --pages 4k --json probe.json");
        Add(CompareVerb.Make(), "./quietus compare before.json after.json --fail-above 5% --markdown summary.md");
        Add(CheckVerb.Make(cancellation), "./quietus check --steps 100000");
        Add(CampaignVerb.Make(cancellation), "./quietus campaign check --steps 1000000 --shards 8");
        Add(MergeVerb.Make(), "./quietus merge shard-*.json --json whole.json");
        Add(DoctorVerb.Make(cancellation), "./quietus doctor");
        Add(ManualVerb.MakeCompletion(), "./quietus completion bash > quietus.bash");
        Add(ManualVerb.MakeManual(), "./quietus man bench > quietus-bench.1");
        foreach (Option option in root.Options)
        {
            if (option is HelpOption { Action: HelpAction plain } help)
            {
                plain.MaxWidth = TerminalSize.Columns ?? PipedWidth;
                help.Action = new HelpWithExample(plain);
            }
        }

        return root;

        void Add(Command command, string example)
        {
            Examples[command.Name] = example;
            root.Subcommands.Add(command);
        }
    }

    /// <summary><c>help</c> and <c>help VERB</c>, as people try them.</summary>
    private static string[] AskingForHelp(string[] arguments) =>
        arguments is ["help", .. var rest] ? [.. rest, "--help"] : arguments;

    /// <summary>What is wrong with a command line that could not be parsed.</summary>
    public static CliException Usage(IReadOnlyList<string> arguments, ParseResult result, RootCommand root)
    {
        Command command = result.CommandResult.Command;
        string[] verbs = [.. root.Subcommands.Select(verb => verb.Name)];
        if (arguments.Count == 0)
        {
            return CliException.Usage("no command given: " + string.Join(", ", verbs), SeeHelp);
        }

        string next = command is RootCommand ? SeeHelp : $"./quietus {command.Name} --help shows what there is";
        string? unknown = result.UnmatchedTokens.Count > 0 ? result.UnmatchedTokens[0] : null;
        if (unknown is null)
        {
            string[] lines = result.Errors[0].Message.TrimEnd('.').Split('\n', 2);
            return CliException.Usage(lines[0], lines.Length > 1 ? lines[1] : next);
        }

        IEnumerable<string> known = command is RootCommand && !unknown.StartsWith('-')
            ? verbs.Append("help")
            : command.Options.Concat(root.Options).Select(option => option.Name);
        return CliException.Usage(
            command is RootCommand ? $"unknown command '{unknown}'" : $"{command.Name} takes no '{unknown}'",
            Nearest(unknown, known) is string meant ? $"did you mean {meant}? {next}" : next);
    }

    /// <summary>The name that was most likely meant; null where none is near.</summary>
    public static string? Nearest(string text, IEnumerable<string> names) => names
        .Select(name => (Name: name, Distance: Distance(text, name)))
        .Where(candidate => candidate.Distance <= Math.Max(1, candidate.Name.Length / 3))
        .OrderBy(candidate => candidate.Distance)
        .Select(candidate => candidate.Name)
        .FirstOrDefault();

    /// <summary>Levenshtein's distance, where two letters that have changed places count once.</summary>
    private static int Distance(string one, string other)
    {
        int[] earlier = [];
        int[] above = [.. Enumerable.Range(0, other.Length + 1)];
        for (int i = 1; i <= one.Length; i++)
        {
            int[] row = new int[other.Length + 1];
            row[0] = i;
            for (int j = 1; j <= other.Length; j++)
            {
                int replaced = above[j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1);
                row[j] = Math.Min(replaced, Math.Min(above[j], row[j - 1]) + 1);
                if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
                {
                    row[j] = Math.Min(row[j], earlier[j - 2] + 1);
                }
            }

            (earlier, above) = (above, row);
        }

        return above[^1];
    }

    /// <summary>The usual help, and a command that works as it stands.</summary>
    private sealed class HelpWithExample(HelpAction plain) : SynchronousCommandLineAction
    {
        /// <summary>A user who asks for help need not have given what the verb demands.</summary>
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            int code = plain.Invoke(parseResult);
            string example = Examples.GetValueOrDefault(parseResult.CommandResult.Command.Name) ?? Examples["bench"];
            parseResult.InvocationConfiguration.Output.WriteLine("Example:\n" + Folded(example, plain.MaxWidth) + "\n");
            return code;
        }

        /// <summary>A command in lines that a shell takes as one.</summary>
        private static string Folded(string command, int width)
        {
            var lines = new StringBuilder(" ");
            int column = 1;
            foreach (string word in command.Split(' '))
            {
                // Each line has room for the backslash that ends it.
                if (column > 1 && column + 1 + word.Length + 2 > width)
                {
                    lines.Append(" \\\n   ");
                    column = 3;
                }

                lines.Append(' ').Append(word);
                column += 1 + word.Length;
            }

            return lines.ToString();
        }
    }
}
