using System;

namespace Quietus.Wire;

/// <summary>The agent's first words: <c>[version 2][vm 8]</c>.</summary>
public readonly struct JobHello
{
    /// <summary>The protocol that it speaks.</summary>
    public ushort Version { get; init; }

    /// <summary>The VM's number, as the monitor's list has it; 0 where the guest cannot tell.</summary>
    public ulong Vm { get; init; }

    /// <summary>Writes it.</summary>
    public void Write(ref PayloadWriter to)
    {
        to.Half(Version);
        to.Quad(Vm);
    }

    /// <summary>Reads it; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out JobHello hello)
    {
        var from = new PayloadReader(payload);
        hello = new JobHello { Version = from.Half(), Vm = from.Quad() };
        return from.IsWhole;
    }
}

/// <summary>How a program ended: <c>[way 1: 0 by itself, 1 by a signal][exit code or signal 1]</c>.</summary>
public readonly struct JobExit
{
    /// <summary>A signal ended it.</summary>
    public bool IsSignal { get; init; }

    /// <summary>Its exit code, or the signal by arm64 Linux's numbers.</summary>
    public byte Value { get; init; }

    /// <summary>Writes it.</summary>
    public void Write(ref PayloadWriter to)
    {
        to.Byte(IsSignal ? (byte)1 : (byte)0);
        to.Byte(Value);
    }

    /// <summary>Reads it; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out JobExit exit)
    {
        var from = new PayloadReader(payload);
        byte way = from.Byte();
        exit = new JobExit { IsSignal = way == 1, Value = from.Byte() };
        return from.IsWhole && way <= 1;
    }
}

/// <summary>
/// A file: <c>[mode 4][bytes 8][path 0]</c>. The mode is its permission bits; the length of one that is put says how
/// many bytes follow, of one that is read how many there were when it was opened.
/// </summary>
public readonly ref struct JobFile
{
    /// <summary>Permission bits, at most 07777.</summary>
    public uint Mode { get; init; }

    /// <summary>Its length.</summary>
    public ulong Bytes { get; init; }

    /// <summary>Where it is; empty in an answer.</summary>
    public ReadOnlySpan<byte> Path { get; init; }

    /// <summary>Writes it.</summary>
    public void Write(ref PayloadWriter to)
    {
        to.Word(Mode);
        to.Quad(Bytes);
        to.Text(Path);
    }

    /// <summary>Reads it; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out JobFile file)
    {
        const uint Permissions = 0xFFF;
        var from = new PayloadReader(payload);
        file = new JobFile { Mode = from.Word(), Bytes = from.Quad(), Path = from.Text() };
        return from.IsWhole && file.Mode <= Permissions;
    }
}

/// <summary>What a VM is to know of the world: <c>[nanoseconds since 1970 8][host name 0]</c>.</summary>
public readonly ref struct JobIdentity
{
    /// <summary>The longest host name that Linux takes.</summary>
    public const int MostName = 64;

    /// <summary>The wall clock, UTC; 0 leaves it as it is.</summary>
    public ulong Nanoseconds { get; init; }

    /// <summary>The host name; empty leaves it as it is.</summary>
    public ReadOnlySpan<byte> Name { get; init; }

    /// <summary>Writes it.</summary>
    public void Write(ref PayloadWriter to)
    {
        to.Quad(Nanoseconds);
        to.Text(Name);
    }

    /// <summary>Reads it; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out JobIdentity identity)
    {
        var from = new PayloadReader(payload);
        identity = new JobIdentity { Nanoseconds = from.Quad(), Name = from.Text() };
        return from.IsWhole && identity.Name.Length <= MostName;
    }
}
