using System;
using Quietus.LinuxProgram;

namespace Quietus.Agent;

/// <summary>What went wrong, for the person at the shell.</summary>
internal static class Message
{
    private const int StandardError = 2;

    /// <summary>A line, with the program's name before it.</summary>
    internal static void Say(ReadOnlySpan<byte> text)
    {
        SystemCalls.Write(StandardError, "agent: "u8);
        SystemCalls.Write(StandardError, text);
        SystemCalls.Write(StandardError, "\n"u8);
    }
}
