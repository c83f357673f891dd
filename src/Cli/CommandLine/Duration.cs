using System.Globalization;

namespace Quietus.Cli.CommandLine;

/// <summary>Times for people: three significant digits and a unit.</summary>
internal static class Duration
{
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
