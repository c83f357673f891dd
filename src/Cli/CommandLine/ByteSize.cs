using System;
using System.Globalization;

namespace Quietus.Cli.CommandLine;

/// <summary>Sizes as people write them: <c>64M</c>, <c>1.5G</c>, <c>1GiB</c>, always powers of two.</summary>
internal static class ByteSize
{
    public const long Kilobyte = 1024;
    public const long Megabyte = 1024 * Kilobyte;
    public const long Gigabyte = 1024 * Megabyte;

    /// <summary>Reads a size in bytes; false for anything else, including what does not fit 63 bits.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        ReadOnlySpan<char> number = text.AsSpan().Trim();
        if (number.EndsWith("iB", StringComparison.Ordinal))
        {
            number = number[..^2];
        }
        else if (number.Length > 1 && number[^1] is 'B' or 'b')
        {
            number = number[..^1];
        }

        if (number.IsEmpty)
        {
            return false;
        }

        int shift = char.ToUpperInvariant(number[^1]) switch
        {
            'K' => 10,
            'M' => 20,
            'G' => 30,
            'T' => 40,
            _ => 0,
        };
        if (shift != 0)
        {
            number = number[..^1];
        }

        // A decimal holds every size exactly, and a part of one byte is none.
        if (!decimal.TryParse(
                number, shift == 0 ? NumberStyles.None : NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture,
                out decimal value)
            || value > long.MaxValue >> shift || value * (1L << shift) % 1 != 0)
        {
            return false;
        }

        bytes = (long)(value * (1L << shift));
        return true;
    }

    /// <summary>The shortest exact form: <c>1 GB</c>, <c>256 MB</c>, <c>4 KB</c>, <c>17 bytes</c>.</summary>
    public static string Format(long bytes)
    {
        (long unit, string name) = bytes switch
        {
            >= Gigabyte when bytes % Gigabyte == 0 => (Gigabyte, "GB"),
            >= Megabyte when bytes % Megabyte == 0 => (Megabyte, "MB"),
            >= Kilobyte when bytes % Kilobyte == 0 => (Kilobyte, "KB"),
            _ => (1, "bytes"),
        };
        return (bytes / unit).ToString(CultureInfo.InvariantCulture) + " " + name;
    }

    /// <summary>In whole megabytes, rounded: for amounts where the exact figure is noise.</summary>
    public static string FormatMegabytes(long bytes) =>
        ((bytes + (Megabyte / 2)) / Megabyte).ToString("N0", CultureInfo.InvariantCulture) + " MB";

    /// <summary>The form of an option's value: <c>1G</c>, <c>256M</c>.</summary>
    public static string FormatOption(long bytes) => bytes switch
    {
        >= Gigabyte when bytes % Gigabyte == 0 => (bytes / Gigabyte).ToString(CultureInfo.InvariantCulture) + "G",
        >= Megabyte when bytes % Megabyte == 0 => (bytes / Megabyte).ToString(CultureInfo.InvariantCulture) + "M",
        >= Kilobyte when bytes % Kilobyte == 0 => (bytes / Kilobyte).ToString(CultureInfo.InvariantCulture) + "K",
        _ => bytes.ToString(CultureInfo.InvariantCulture),
    };
}
