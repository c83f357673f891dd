using System;
using Quietus.Wire;

namespace Quietus.Probe.Output;

/// <summary>Times and sizes as people read them.</summary>
internal static class Units
{
    internal const int Most = 24;

    /// <summary>Three digits and a unit: 1.23 us, 45.6 ms. 0 is a dash: not measured, or nothing to do.</summary>
    internal static void Duration(ref LineBuilder line, ulong nanoseconds)
    {
        if (nanoseconds == 0)
        {
            line.Text("-"u8);
        }
        else if (nanoseconds < 1000)
        {
            line.Number(nanoseconds);
            line.Text(" ns"u8);
        }
        else if (nanoseconds < 1_000_000)
        {
            Digits(ref line, nanoseconds, 1000);
            line.Text(" us"u8);
        }
        else if (nanoseconds < 1_000_000_000)
        {
            Digits(ref line, nanoseconds, 1_000_000);
            line.Text(" ms"u8);
        }
        else
        {
            Digits(ref line, nanoseconds, 1_000_000_000);
            line.Text(" s"u8);
        }
    }

    internal static void Size(ref LineBuilder line, ulong bytes)
    {
        const ulong Gigabyte = 1UL << 30;
        bool isWhole = bytes >= Gigabyte && bytes % Gigabyte == 0;
        line.Number(isWhole ? bytes / Gigabyte : bytes >> 20);
        line.Text(isWhole ? " GB"u8 : " MB"u8);
    }

    private static void Digits(ref LineBuilder line, ulong value, ulong unit)
    {
        ulong whole = value / unit;
        ulong hundredths = value % unit * 100 / unit;
        line.Number(whole);
        if (whole >= 100)
        {
            return;
        }

        line.Character((byte)'.');
        line.Number(hundredths / 10);
        if (whole < 10)
        {
            line.Number(hundredths % 10);
        }
    }
}
