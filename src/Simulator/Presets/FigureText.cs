using System;
using System.Globalization;

namespace Quietus.Simulator;

/// <summary>Figures as people write them: <c>11ns</c>, <c>1.5us</c>, <c>256G</c>, <c>64</c>, <c>true</c>.</summary>
internal static class FigureText
{
    /// <summary>The form that a unit asks for, for a message.</summary>
    internal static string Example(FigureUnit unit) => unit switch
    {
        FigureUnit.Nanoseconds => "a time such as 11ns, 1.5us or 2ms",
        FigureUnit.Bytes => "a size such as 64, 32M or 256G",
        FigureUnit.Flag => "true or false",
        _ => "a whole number",
    };

    /// <summary>Reads a value with its unit written after it.</summary>
    internal static bool TryParse(string text, FigureUnit unit, out double value)
    {
        value = 0;
        ReadOnlySpan<char> rest = text.AsSpan().Trim();
        switch (unit)
        {
            case FigureUnit.Flag:
                value = rest is "true" ? 1 : 0;
                return rest is "true" or "false";

            case FigureUnit.Nanoseconds:
                double scale = ScaleOfTime(rest.Length > 2 ? rest[^2..] : "");
                return scale != 0 && TryNumber(rest[..^2].TrimEnd(), out value) && Scaled(ref value, scale);

            case FigureUnit.Bytes:
                double size = rest.IsEmpty ? 0 : ScaleOfSize(rest[^1]);
                return size != 0 && TryNumber(size > 1 ? rest[..^1] : rest, out value) && Scaled(ref value, size)
                    && value == Math.Floor(value);

            default:
                return TryNumber(rest, out value) && value == Math.Floor(value);
        }
    }

    /// <summary>Reads a number and the unit that stands apart from it, as in a preset's file.</summary>
    internal static bool TryScale(string written, FigureUnit unit, out double scale)
    {
        scale = unit switch
        {
            FigureUnit.Nanoseconds => ScaleOfTime(written),
            FigureUnit.Bytes => written switch
            {
                "bytes" => 1,
                "KB" => 1 << 10,
                "MB" => 1 << 20,
                "GB" => 1 << 30,
                _ => 0,
            },
            FigureUnit.Flag => written is "flag" ? 1 : 0,
            _ => written is "count" ? 1 : 0,
        };
        return scale != 0;
    }

    /// <summary>The units that may stand in a preset's file for a figure, for a message.</summary>
    internal static string Units(FigureUnit unit) => unit switch
    {
        FigureUnit.Nanoseconds => "ns, us or ms",
        FigureUnit.Bytes => "bytes, KB, MB or GB",
        FigureUnit.Flag => "flag",
        _ => "count",
    };

    private static double ScaleOfTime(ReadOnlySpan<char> unit) => unit switch
    {
        "ns" => 1,
        "us" => 1e3,
        "ms" => 1e6,
        _ => 0,
    };

    private static double ScaleOfSize(char unit) => unit switch
    {
        >= '0' and <= '9' => 1,
        'K' => 1L << 10,
        'M' => 1L << 20,
        'G' => 1L << 30,
        'T' => 1L << 40,
        _ => 0,
    };

    private static bool TryNumber(ReadOnlySpan<char> text, out double value) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out value)
        && double.IsFinite(value);

    private static bool Scaled(ref double value, double scale)
    {
        value *= scale;
        return true;
    }
}
