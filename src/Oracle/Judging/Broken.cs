using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Quietus.Oracle.Judging;

/// <summary>How the models say that a rule is broken, and the words that they have in common.</summary>
internal static class Broken
{
    [DoesNotReturn]
    public static void Fail(ViolationKind kind, string consumer, string text) =>
        throw new ViolationException(new Violation(kind, consumer, text));

    public static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");

    public static string Pes(uint mask)
    {
        var names = new List<string>();
        for (int pe = 0; pe < 32; pe++)
        {
            if ((mask >> pe & 1) != 0)
            {
                names.Add("PE " + pe.ToString(CultureInfo.InvariantCulture));
            }
        }

        return string.Join(" and ", names);
    }
}
