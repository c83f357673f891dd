using System;
using Quietus.Wire;

namespace Quietus.KvmProbe.Linux;

/// <summary>Lines on the console for the program that reads them; each goes out whole, by one write.</summary>
internal static class Output
{
    /// <summary>The longest line, in bytes.</summary>
    internal const int MostLine = 512;

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

    /// <summary>Who measures, and what measuring nothing costs: that much is in every figure.</summary>
    internal static void Introduce()
    {
        // The first time is the one in which the code comes into memory.
        Stopwatch.Start().Stop();
        Cost nothing = Stopwatch.Start().Stop();
        Span<byte> release = stackalloc byte[128];
        int length = Host.ReadRelease(release);
        Span<byte> buffer = stackalloc byte[MostLine];
        LineBuilder line = Begin(buffer, "probe protocol=1"u8);
        line.QuotedField("kernel"u8, release.Slice(0, length));
        line.Field("empty_instructions"u8, nothing.Instructions);
        End(ref line);
    }

    /// <summary>All has been measured.</summary>
    internal static void Done()
    {
        Span<byte> buffer = stackalloc byte[MostLine];
        LineBuilder line = Begin(buffer, "done"u8);
        End(ref line);
    }
}
