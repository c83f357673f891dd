using System;
using System.Globalization;
using Xunit;

namespace Quietus.Image.Tests.Machines;

/// <summary>
/// Random choices that differ from run to run and can be had again: QUIETUS_TEST_SEED repeats them (not what the host's
/// scheduler makes of them).
/// </summary>
internal static class TestSeed
{
    /// <summary>Random numbers, whose seed is written into the test's report.</summary>
    internal static Random Begin(ITestOutputHelper output)
    {
        string? told = Environment.GetEnvironmentVariable("QUIETUS_TEST_SEED");
        int seed = int.TryParse(told, CultureInfo.InvariantCulture, out int number) ? number : Environment.TickCount;
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"QUIETUS_TEST_SEED={seed}"));
        return new Random(seed);
    }
}
