using System.Globalization;

namespace Quietus.Cli.Terminals;

/// <summary>A number and what it counts, in words: 1 program, 2,000 programs.</summary>
internal static class Counted
{
    /// <param name="count">How many.</param>
    /// <param name="one">What one is called.</param>
    /// <param name="many">What several are called, where an s does not make it.</param>
    public static string Of(long count, string one, string? many = null) => string.Create(
        CultureInfo.InvariantCulture, $"{count:N0} {(count == 1 ? one : many ?? one + "s")}");
}
