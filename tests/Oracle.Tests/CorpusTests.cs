using System;
using System.IO;
using System.Linq;
using Quietus.Oracle.Recording;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>The corpus' traces and their golden verdicts: docs/oracle-traces.md.</summary>
public class CorpusTests
{
    public static TheoryData<string> Names => [.. Scenarios.Names];

    [Fact]
    public void Every_trace_has_its_verdict() =>
        Golden().Select(line => line.Split(": ")[0]).Order(StringComparer.Ordinal).ShouldBe(Scenarios.Names);

    [Theory]
    [MemberData(nameof(Names))]
    public void A_trace_comes_to_its_golden_verdict(string name)
    {
        using Stream trace = Scenarios.Open(name)!;
        TraceOutcome outcome = TraceReader.Judge(trace, null, TestContext.Current.CancellationToken);
        string verdict = outcome.Violation is { } broken
            ? FormattableString.Invariant($"line {outcome.Line}, {broken.Kind}: {broken.Text}")
            : "no violation";
        (outcome.Violation is null).ShouldBe(name.StartsWith("good_", StringComparison.Ordinal), verdict);
        Golden().ShouldContain($"{name}: {verdict}");
    }

    private static string[] Golden()
    {
        using Stream file = typeof(CorpusTests).Assembly.GetManifestResourceStream("verdicts.txt")!;
        return new StreamReader(file).ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
