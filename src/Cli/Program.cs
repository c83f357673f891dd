using System;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Terminals;

namespace Quietus.Cli;

/// <summary>The entry: whatever happens ends as an exit code and at most one error, never as a stack trace.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] arguments)
    {
        StandardStreams.Install();
        using var interruption = new Interruption();
        try
        {
            int code = await Commands.RunAsync(arguments, interruption.Token).ConfigureAwait(false);
            return code == ExitCode.Interrupted ? interruption.Code : code;
        }
        catch (CliException error)
        {
            RawTerminal.RestoreNow();
            return interruption.Happened ? Interrupted(interruption) : ErrorReport.Write(error);
        }
        catch (OperationCanceledException) when (interruption.Happened)
        {
            return Interrupted(interruption);
        }
#pragma warning disable CA1031 // The last resort: a defect of ours must not look like one.
        catch (Exception error)
#pragma warning restore CA1031
        {
            RawTerminal.RestoreNow();
            return interruption.Happened ? Interrupted(interruption) : ErrorReport.WriteInternal(error);
        }
    }

    private static int Interrupted(Interruption interruption)
    {
        RawTerminal.RestoreNow();
        Console.Error.WriteLine("quietus: interrupted; nothing is left running");
        return interruption.Code;
    }
}
