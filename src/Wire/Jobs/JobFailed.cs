using System;

namespace Quietus.Wire;

/// <summary>What the agent could not do.</summary>
public enum JobFailure : byte
{
    /// <summary>It could not read an order, or the order does not fit what goes on.</summary>
    Order,

    /// <summary>The guest has no such user.</summary>
    User,

    /// <summary>The program's folder cannot be entered.</summary>
    Folder,

    /// <summary>The program cannot be executed: not found, or not a program.</summary>
    Execute,

    /// <summary>The guest has no process, memory, pipe or terminal to give.</summary>
    Resources,

    /// <summary>A file cannot be opened.</summary>
    Open,

    /// <summary>A file cannot be read.</summary>
    Read,

    /// <summary>A file cannot be written: the disk is full, for example.</summary>
    Write,

    /// <summary>The clock or the host name cannot be set, or the random numbers not be renewed.</summary>
    Identity,

    /// <summary>The VM cannot be made a template.</summary>
    Freeze,
}

/// <summary>An order that failed: <c>[what 1][errno 4]</c>, the errno by arm64 Linux's numbers or 0.</summary>
public readonly struct JobFailed
{
    /// <summary>What failed.</summary>
    public JobFailure What { get; init; }

    /// <summary>Why.</summary>
    public uint Errno { get; init; }

    /// <summary>Writes it.</summary>
    public void Write(ref PayloadWriter to)
    {
        to.Byte((byte)What);
        to.Word(Errno);
    }

    /// <summary>Reads it; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out JobFailed failed)
    {
        var from = new PayloadReader(payload);
        failed = new JobFailed { What = (JobFailure)from.Byte(), Errno = from.Word() };
        return from.IsWhole && failed.What <= JobFailure.Freeze;
    }

    /// <summary>What failed, for people: a sentence's beginning.</summary>
    public static ReadOnlySpan<byte> Explain(JobFailure what) => what switch
    {
        JobFailure.User => "the guest has no such user"u8,
        JobFailure.Folder => "the folder cannot be entered"u8,
        JobFailure.Execute => "the program cannot be executed"u8,
        JobFailure.Resources => "the guest has nothing left to start a program with"u8,
        JobFailure.Open => "the file cannot be opened"u8,
        JobFailure.Read => "the file cannot be read"u8,
        JobFailure.Write => "the file cannot be written"u8,
        JobFailure.Identity => "clock, host name or random numbers cannot be set"u8,
        JobFailure.Freeze => "the VM cannot be made a template"u8,
        _ => "the agent did not understand"u8,
    };
}
