using System;
using Quietus.Wire;

namespace Quietus.KvmProbe.Linux;

/// <summary>What cannot go on says why in one line and ends the machine: no caller could take an error.</summary>
internal static class Failure
{
    /// <summary>A system call's result, when it is one; its error ends the program.</summary>
    internal static ulong Checked(long result, ReadOnlySpan<byte> what)
    {
        if (result < 0)
        {
            Stop(what, default, -result);
        }

        return (ulong)result;
    }

    /// <summary>Does not return.</summary>
    /// <param name="what">What failed.</param>
    /// <param name="value">A text that belongs to it; may be empty.</param>
    /// <param name="number">The errno or another number that belongs to it.</param>
    internal static void Stop(ReadOnlySpan<byte> what, ReadOnlySpan<byte> value, long number)
    {
        Span<byte> buffer = stackalloc byte[Output.MostLine];
        LineBuilder line = Output.Begin(buffer, "error"u8);
        line.QuotedField("what"u8, what);
        line.QuotedField("value"u8, value);
        line.Field("number"u8, (ulong)number);
        Output.End(ref line);
        if (SystemCalls.ProcessId() == 1)
        {
            Host.TurnOff();
        }

        while (true)
        {
            SystemCalls.Exit(1);
        }
    }
}
