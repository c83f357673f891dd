using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Bench;
using Quietus.Cli.Check;
using Quietus.Cli.Doctor;
using Quietus.Cli.Replay;
using Quietus.Cli.Run;
using Quietus.Cli.Sim;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.CommandLine;

/// <summary>The verbs, and what is common to all of them.</summary>
internal static class Commands
{
    private const string Summary =
        "Quietus: a hypervisor for 64-bit Arm, in C#, whose virtual machines die at once.\n"
        + "Exit codes: 0 ok, 1 failed, 2 usage, 77 not supported here, 124 time limit, 130 interrupted.";

    /// <summary>
    /// Parses the arguments and runs the verb. Usage errors are ours to report: the parser's code is 1.
    /// </summary>
    public static async Task<int> RunAsync(string[] arguments, CancellationToken cancellation)
    {
        RootCommand root = Make(cancellation);
        ParseResult result = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (result.Errors.Count > 0)
        {
            if (arguments.Length == 0)
            {
                throw CliException.Usage(
                    "no command given: run, bench, sim, replay, check or doctor",
                    "./quietus --help shows what there is");
            }

            if (result.CommandResult.Command is RootCommand && result.UnmatchedTokens.Count > 0)
            {
                throw CliException.Usage(
                    $"unknown command '{Printable.Line(result.UnmatchedTokens[0])}'",
                    "./quietus --help shows what there is");
            }

            Command command = result.CommandResult.Command;
            string verb = command is RootCommand ? string.Empty : command.Name + " ";
            throw CliException.Usage(
                Printable.Line(result.Errors[0].Message.TrimEnd('.')), $"./quietus {verb}--help shows what there is");
        }

        Style.Choice = result.GetValue(CommonOptions.Color)?.ToUpperInvariant() switch
        {
            "AUTO" => ColorChoice.Auto,
            "ALWAYS" => ColorChoice.Always,
            "NEVER" => ColorChoice.Never,
            _ => throw CliException.Usage(
                $"--color takes no '{Printable.Line(result.GetValue(CommonOptions.Color) ?? string.Empty)}'",
                "it takes auto, always or never"),
        };
        var configuration = new InvocationConfiguration
        {
            EnableDefaultExceptionHandler = false,

            // Signals are ours: see Interruption.
            ProcessTerminationTimeout = null,
        };
        return await result.InvokeAsync(configuration, cancellation).ConfigureAwait(false);
    }

    private static RootCommand Make(CancellationToken cancellation)
    {
        var root = new RootCommand(Summary);
        root.Options.Add(CommonOptions.Color);
        Add(RunVerb.Make(cancellation), "./quietus run --memory 512M --cpus 2");
        Add(BenchVerb.Make(cancellation), "./quietus bench --guest filler --memory 64M,256M --json bench.json");
        Add(SimVerb.Make(cancellation), "./quietus sim --machine d05 --memory 64G --pages 2m --ablate");
        Add(ReplayVerb.Make(cancellation), "./quietus replay tests/Traces.Tests/Data/munmap-2M-4k.txt.gz");
        Add(CheckVerb.Make(cancellation), "./quietus check --steps 100000");
        Add(DoctorVerb.Make(cancellation), "./quietus doctor");
        foreach (Option option in root.Options)
        {
            if (option is HelpOption { Action: HelpAction plain } help)
            {
                help.Action = new HelpWithExample(plain);
            }
        }

        return root;

        void Add(Command command, string example)
        {
            HelpWithExample.Examples[command.Name] = example;
            root.Subcommands.Add(command);
        }
    }

    /// <summary>The usual help, and a command that works as it stands.</summary>
    private sealed class HelpWithExample(HelpAction plain) : SynchronousCommandLineAction
    {
        public static Dictionary<string, string> Examples { get; } = [];

        /// <summary>Whoever asks for help need not have given what the verb demands.</summary>
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            int code = plain.Invoke(parseResult);
            string example = Examples.GetValueOrDefault(parseResult.CommandResult.Command.Name) ?? Examples["bench"];
            parseResult.InvocationConfiguration.Output.WriteLine("Example:\n  " + example + "\n");
            return code;
        }
    }
}
