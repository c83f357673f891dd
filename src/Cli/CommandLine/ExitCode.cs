namespace Quietus.Cli.CommandLine;
/// <summary>What the process says to its caller. The same numbers everywhere; scripts depend on them.</summary>
internal static class ExitCode
{
    /// <summary>It worked.</summary>
    public const int Ok = 0;
    /// <summary>It ran and something went wrong: the machine died, the guest failed, a figure regressed.</summary>
    public const int Failed = 1;
    /// <summary>What was asked for makes no sense: an unknown option, a bad value, a file that is no kernel.</summary>
    public const int Usage = 2;
    /// <summary><c>run --no-reboot</c>: the guest has asked for a reboot.</summary>
    public const int GuestReset = 3;
    /// <summary><c>run</c>: the guest's kernel has panicked.</summary>
    public const int GuestPanic = 4;
    /// <summary>This host lacks something that is needed; the message names it and how to get it.</summary>
    public const int NotSupported = 77;
    /// <summary>A time limit ran out.</summary>
    public const int TimeLimit = 124;
    /// <summary><c>exec</c>: not the program failed, but what runs it.</summary>
    public const int ExecFailed = 125;
    /// <summary><c>exec</c>: the program is there and cannot be executed.</summary>
    public const int CannotExecute = 126;
    /// <summary><c>exec</c>: there is no such program.</summary>
    public const int NotFound = 127;
    /// <summary>A signal's number is added to it where a signal ended a program.</summary>
    public const int Signalled = 128;
    /// <summary>Ended by Ctrl-C; SIGHUP ends it with 129, SIGQUIT with 131, SIGTERM with 143.</summary>
    public const int Interrupted = 130;
}
