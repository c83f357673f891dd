using System;
using Quietus.Wire;

namespace Quietus.Probe.Linux;

/// <summary>
/// What cannot go on is said in one line on stderr, and the process ends: no caller could take an error.
/// </summary>
internal static class Problem
{
    internal const int Failed = 1;
    internal const int Usage = 2;
    internal const int NotSupported = 77;

    private const int StandardError = 2;
    private const int MostLine = 512;

    /// <summary>A system call's result, when it is one; its error ends the program.</summary>
    internal static ulong Checked(long result, ReadOnlySpan<byte> what)
    {
        if (result < 0)
        {
            End(Failed, what, result, default);
        }

        return (ulong)result;
    }

    /// <summary>Something that must not be, with a number that belongs to it. Does not return.</summary>
    internal static void Stop(ReadOnlySpan<byte> what, ulong number) => End(Failed, what, (long)number, default);

    /// <summary>This host cannot be measured. Does not return.</summary>
    internal static void NotHere(ReadOnlySpan<byte> why, long error) => End(NotSupported, why, error, default);

    /// <summary>The command line is wrong. Does not return.</summary>
    internal static void BadUsage(ReadOnlySpan<byte> why, ReadOnlySpan<byte> argument) =>
        End(Usage, why, 0, argument);

    /// <summary>Says something and goes on.</summary>
    internal static void Say(ReadOnlySpan<byte> what)
    {
        Span<byte> buffer = stackalloc byte[MostLine];
        var line = new LineBuilder(buffer);
        line.Text("quietus-probe: "u8);
        line.Text(what);
        line.Character((byte)'\n');
        SystemCalls.Write(StandardError, line.Written);
    }

    private static void End(int code, ReadOnlySpan<byte> what, long number, ReadOnlySpan<byte> argument)
    {
        Span<byte> buffer = stackalloc byte[MostLine];
        var line = new LineBuilder(buffer);
        line.Text("quietus-probe: "u8);
        line.Text(what);
        if (argument.Length != 0)
        {
            line.Text(": "u8);
            line.Quoted(argument);
        }

        if (number < 0)
        {
            line.Text(": "u8);
            line.Text(NameOf(number));
            line.Text(" (errno "u8);
            line.Number((ulong)-number);
            line.Character((byte)')');
        }
        else if (number > 0)
        {
            line.Text(": "u8);
            line.Number((ulong)number);
        }

        line.Character((byte)'\n');
        SystemCalls.Write(StandardError, line.Written);
        if (SystemCalls.ProcessId() == 1)
        {
            // The first process of a machine of its own: nothing else could end it.
            SystemCalls.PowerOff();
        }

        while (true)
        {
            SystemCalls.Exit(code);
        }
    }

    private static ReadOnlySpan<byte> NameOf(long error) => error switch
    {
        -1 => "not permitted"u8,
        -2 => "no such file"u8,
        -5 => "input/output error"u8,
        -7 => "too long"u8,
        -11 => "try again"u8,
        -12 => "not enough memory"u8,
        -13 => "permission denied"u8,
        -16 => "busy"u8,
        -17 => "exists"u8,
        -19 => "no such device"u8,
        -22 => "invalid argument"u8,
        -23 or -24 => "too many open files"u8,
        -25 => "not known to this kernel"u8,
        -28 => "no space left"u8,
        -30 => "read-only"u8,
        -95 => "not supported"u8,
        _ => "error"u8,
    };
}
