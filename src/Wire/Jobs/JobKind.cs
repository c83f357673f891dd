namespace Quietus.Wire;

/// <summary>
/// What a frame of the job protocol says (docs/agent.md). Below 64 from the host, from 64 on from the agent.
/// </summary>
public enum JobKind : byte
{
    /// <summary>Start a program: <see cref="JobRun"/>.</summary>
    Run = 1,

    /// <summary>Bytes for the program's standard input.</summary>
    Input = 2,

    /// <summary>There is no more of it. A terminal gets its end-of-file character.</summary>
    InputEnd = 3,

    /// <summary>Send the program's process group a signal: its number by arm64 Linux, 1 byte.</summary>
    Signal = 4,

    /// <summary>The terminal's size: rows and columns, 2 bytes each.</summary>
    Size = 5,

    /// <summary>Write a file: <see cref="JobFile"/>; its contents follow as FileData, then FileEnd.</summary>
    Put = 6,

    /// <summary>Read a file: its path, which ends in 0.</summary>
    Get = 7,

    /// <summary>What this VM is to know of the world: <see cref="JobIdentity"/>.</summary>
    Identity = 8,

    /// <summary>Answer with Pong and the same payload.</summary>
    Ping = 9,

    /// <summary>Make this VM a template. The stream ends with the freeze, and is answered by Failed alone.</summary>
    Freeze = 10,

    /// <summary>The next bytes of a file that is put.</summary>
    FileData = 11,

    /// <summary>The file that is put is whole.</summary>
    FileEnd = 12,

    /// <summary>The agent's first frame on a stream: <see cref="JobHello"/>.</summary>
    Hello = 64,

    /// <summary>The program runs: its process number, 4 bytes.</summary>
    Started = 65,

    /// <summary>Bytes of the program's standard output, or of its terminal.</summary>
    Output = 66,

    /// <summary>Bytes of its standard error; a terminal has none apart.</summary>
    Error = 67,

    /// <summary>The program has ended, and all that it wrote was sent: <see cref="JobExit"/>.</summary>
    Exit = 68,

    /// <summary>An order could not be carried out: <see cref="JobFailed"/>.</summary>
    Failed = 69,

    /// <summary>The file asked for is there: <see cref="JobFile"/> with an empty path.</summary>
    File = 70,

    /// <summary>The next bytes of a file that was asked for.</summary>
    Contents = 71,

    /// <summary>Done: the file asked for was sent whole, the file that was put is whole, the identity is set.</summary>
    Done = 72,

    /// <summary>Answers Ping.</summary>
    Pong = 73,
}
