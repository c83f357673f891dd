using System;

namespace Quietus.Wire;

/// <summary>The order to start a program: what stands before its arguments and its environment.</summary>
/// <remarks>
/// <code>
///   [flags 4][rows 2][columns 2][arguments 2][variables 2][user 0][folder 0][argument 0]…[NAME=VALUE 0]…
/// </code>
/// Every text ends in 0, as execve(2) takes it. The first argument is the program: a path, or a name to be looked for
/// in PATH of the new environment. An empty user is root; another is a name of the guest's /etc/passwd or a number, and
/// :GROUP may follow. An empty folder is the user's home where there is one, else /.
/// </remarks>
public readonly ref struct JobRun
{
    /// <summary>The program gets a terminal for all three of its streams.</summary>
    public const uint Terminal = 1;

    /// <summary>Arguments and variables at most, together.</summary>
    public const int MostTexts = 4096;

    /// <summary><see cref="Terminal"/>; other bits must be 0.</summary>
    public uint Flags { get; init; }

    /// <summary>The terminal's size.</summary>
    public ushort Rows { get; init; }

    /// <summary>The terminal's size.</summary>
    public ushort Columns { get; init; }

    /// <summary>How many arguments, the program among them: at least one.</summary>
    public ushort Arguments { get; init; }

    /// <summary>How many variables.</summary>
    public ushort Variables { get; init; }

    /// <summary>Who runs it.</summary>
    public ReadOnlySpan<byte> User { get; init; }

    /// <summary>Where it begins.</summary>
    public ReadOnlySpan<byte> Folder { get; init; }

    /// <summary>Writes it; the arguments and variables come after it, as texts.</summary>
    public void Write(ref PayloadWriter to)
    {
        to.Word(Flags);
        to.Half(Rows);
        to.Half(Columns);
        to.Half(Arguments);
        to.Half(Variables);
        to.Text(User);
        to.Text(Folder);
    }

    /// <summary>Reads it; the arguments and variables are next in <paramref name="texts"/>, and all there.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out JobRun run, out PayloadReader texts)
    {
        var from = new PayloadReader(payload);
        run = new JobRun
        {
            Flags = from.Word(),
            Rows = from.Half(),
            Columns = from.Half(),
            Arguments = from.Half(),
            Variables = from.Half(),
            User = from.Text(),
            Folder = from.Text(),
        };
        texts = from;
        if (run.Arguments == 0 || run.Arguments + run.Variables > MostTexts || (run.Flags & ~Terminal) != 0)
        {
            return false;
        }

        for (int i = 0; i < run.Arguments + run.Variables; i++)
        {
            from.Text();
        }

        return from.IsWhole;
    }
}
