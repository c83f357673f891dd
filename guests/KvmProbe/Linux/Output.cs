using System;
using Quietus.Wire;

namespace Quietus.KvmProbe.Linux;

/// <summary>Lines on the console for the program that reads them; each goes out whole, by one write.</summary>
internal static class Output
{
    private static int console = -1;

    internal static void Open(int descriptor) => console = descriptor;

    /// <summary>Begins a line: our name and the line's kind.</summary>
    internal static LineBuilder Begin(Span<byte> buffer, ReadOnlySpan<byte> kind)
    {
        var line = new LineBuilder(buffer);
        line.Text("quietus-kvm: "u8);
        line.Text(kind);
        return line;
    }

    /// <summary>Sends the line. A console that takes nothing is found out by who waits for the line.</summary>
    internal static void End(ref LineBuilder line)
    {
        line.Character((byte)'\n');
        SystemCalls.Write(console, line.Written);
    }
}
