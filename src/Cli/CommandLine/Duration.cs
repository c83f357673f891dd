using System;
using System.Buffers;
using System.Globalization;

namespace Quietus.Cli.CommandLine;

/// <summary>Times as people write and read them.</summary>
internal static class Duration
{
    private static readonly (string Unit, double Seconds)[] _units =
        [("ms", 1e-3), ("us", 1e-6), ("s", 1), ("m", 60), ("min", 60), ("h", 3600)];

    private static readonly SearchValues<char> _digits = SearchValues.Create("0123456789.");

    /// <summary>The longest time that is taken, in seconds: 11 days.</summary>
    private const double Most = 1e6;

    /// <summary>Reads 5s, 200ms, 2m or 1h; seconds where no unit stands. False for anything else, and for 0.</summary>
    public static bool TryParse(string text, out TimeSpan time)
    {
        int digits = text.AsSpan().Trim().IndexOfAnyExcept(_digits);
        ReadOnlySpan<char> number = digits < 0 ? text : text.AsSpan().Trim()[..digits];
        string unit = digits < 0 ? "s" : text.Trim()[digits..].Trim();
        double scale = Array.Find(_units, known => known.Unit == unit).Seconds;
        bool isTime = double.TryParse(
                number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
            && value * scale is > 0 and <= Most;
        time = isTime ? TimeSpan.FromSeconds(value * scale) : default;
        return isTime;
    }

    /// <summary>Three significant digits and a unit.</summary>
    public static string Format(double nanoseconds) => nanoseconds switch
    {
        < 999.5 => Round(nanoseconds, "ns"),
        < 999.5e3 => Round(nanoseconds / 1e3, "us"),
        < 999.5e6 => Round(nanoseconds / 1e6, "ms"),
        _ => Round(nanoseconds / 1e9, "s"),
    };

    private static string Round(double value, string unit)
    {
        string format = value switch
        {
            0 => "0",
            < 9.995 => "0.00",
            < 99.95 => "0.0",
            _ => "0",
        };
        return value.ToString(format, CultureInfo.InvariantCulture) + " " + unit;
    }
}
