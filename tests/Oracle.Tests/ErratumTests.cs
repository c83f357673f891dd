using System;
using System.IO;
using System.Text;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Recording;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>CVE-2025-10263: a TLBI and its DSB may complete early; the second pair does not.</summary>
public class ErratumTests
{
    private const string Stage2 =
        "tlbi pe=1 op=ipas2e1is vmid=1 ipa=0x80000000 bytes=0x1 level=3 reaches=0xffffffff\n";

    private const string Combined =
        "tlbi pe=1 op=vmalle1is vmid=1 ipa=0x0 bytes=0x0 level=0 reaches=0xffffffff\n";

    private const string Dsb = "dsb pe=1 op=ish\n";

    [Theory]
    [InlineData(false, Stage2 + Dsb + Combined + Dsb, true)]
    [InlineData(true, Stage2 + Dsb + Combined + Dsb, false)]
    [InlineData(true, Stage2 + Dsb + Stage2 + Dsb + Combined + Dsb + Combined + Dsb, true)]
    [InlineData(true, Stage2 + Dsb + Stage2 + Dsb + Combined + Dsb, false)]
    [InlineData(true, Stage2 + Stage2 + Dsb + Combined + Combined + Dsb, false)]
    public void Only_a_repeated_pair_is_complete(bool hasErratum, string invalidation, bool isSafe)
    {
        using var reader = new StreamReader(Scenarios.Open("good_unmap")!);
        string text = reader.ReadToEnd();
        int from = text.IndexOf(Stage2, StringComparison.Ordinal);
        int to = text.IndexOf("return\n", StringComparison.Ordinal);
        text = text[..from] + invalidation + text[to..];
        int events = 15 + invalidation.Split('\n').Length - 1;
        text = text.Replace("events=19", $"events={events}", StringComparison.Ordinal);
        text = hasErratum
            ? text.Replace("features=none", "features=early-completion", StringComparison.Ordinal)
            : text;
        TraceOutcome outcome = TraceReader.Judge(
            new MemoryStream(Encoding.Latin1.GetBytes(text)), null, TestContext.Current.CancellationToken);
        (outcome.Violation?.Kind).ShouldBe(isSafe ? null : ViolationKind.StaleTranslation);
    }
}
