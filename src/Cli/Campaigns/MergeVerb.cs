using System;
using System.CommandLine;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Campaigns;

/// <summary><c>quietus merge</c>: the documents that <c>--shard</c> has written, put together.</summary>
internal static class MergeVerb
{
    private static readonly Argument<string[]> _files = new("files")
    {
        Description = "JSON documents of the shards of one work, in any order",
        HelpName = "files",
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly OutputOptions _outputs = new("the schema of the parts");

    public static Command Make()
    {
        var command = new Command("merge", "Put the results of --shard together, and say what is missing") { _files };
        _outputs.AddTo(command);
        command.SetAction((result, _) => Task.FromResult(Run(result)));
        return command;
    }

    private static int Run(ParseResult result)
    {
        Outputs outputs = _outputs.Read(result);
        Merge merge = Merge.Of([.. result.GetValue(_files)!.Distinct().Select(ShardDocument.Read)]);
        return Write(merge, outputs);
    }

    /// <summary>Writes a merged result; exit code 1 where something is missing, or a violation was found.</summary>
    public static int Write(Merge merge, Outputs outputs)
    {
        outputs.Write(
            MergeTable.Rows(merge), stream => MergeTable.WriteJson(merge, stream),
            writer => MergeTable.Write(writer, merge), () => MergeTable.MakeReport(merge));
        foreach (string gap in MergeTable.Gaps(merge))
        {
            Console.Error.WriteLine("quietus: " + Terminals.Printable.Line(gap));
        }

        return merge.IsComplete && !merge.HasFailed ? ExitCode.Ok : ExitCode.Failed;
    }
}
