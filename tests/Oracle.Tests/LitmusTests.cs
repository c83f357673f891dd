using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using Quietus.Oracle.Recording;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>Traces whose verdict is published: <c>check --litmus</c>, docs/oracle-litmus.md.</summary>
public partial class LitmusTests
{
    private const string Prefix = "litmus.";

    /// <summary>Why the oracle's verdict is another one, by trace.</summary>
    private static readonly Dictionary<string, string> _notes = Read("notes.txt")
        .Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => line.Split(": ", 2))
        .ToDictionary(part => part[0], part => part[1]);

    public static TheoryData<string> Names => [.. All()];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_trace_comes_to_the_verdict_of_its_head(string name)
    {
        LitmusRow row = Judge(name, Read(Prefix + name));
        (row.Result == LitmusResult.Agree).ShouldBe(!_notes.ContainsKey(name), $"{row.Result}: {row.Outcome}");
    }

    [Fact]
    public void Notes_are_of_traces() => _notes.Keys.Except(All()).ShouldBeEmpty();

    /// <summary>The same events with other PEs, and other VMIDs.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Names_make_no_difference(string name)
    {
        string trace = Read(Prefix + name);
        LitmusResult result = Judge(name, trace).Result;
        foreach (int[] pes in (int[][])[[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]])
        {
            Judge(name, Renamed(trace, pes)).Result.ShouldBe(result, string.Join(',', pes));
        }
    }

    /// <summary>What goes wrong still does where a barrier or an invalidation is left out as well.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Less_maintenance_makes_nothing_right(string name)
    {
        string[] lines = Read(Prefix + name).Split('\n');
        if (Outcome(name, lines) is not LitmusOutcome.Violation)
        {
            return;
        }

        for (int at = 0; at < lines.Length; at++)
        {
            if (lines[at].StartsWith("dsb ", StringComparison.Ordinal)
                || lines[at].StartsWith("tlbi ", StringComparison.Ordinal))
            {
                Outcome(name, [.. lines[..at], .. lines[(at + 1)..]])
                    .ShouldBe(LitmusOutcome.Violation, $"without line {at + 1}: {lines[at]}");
            }
        }
    }

    /// <summary>What is right still is where any PE completes, or invalidates, more than it must.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void More_maintenance_makes_nothing_wrong(string name)
    {
        string[] lines = Read(Prefix + name).Split('\n');
        if (Outcome(name, lines) is not LitmusOutcome.Passes
            || lines.Any(line => line.StartsWith("read-entry at=", StringComparison.Ordinal)))
        {
            // A read that names no PE is that of the next event.
            return;
        }

        int first = Array.FindIndex(lines, line => line.StartsWith("machine ", StringComparison.Ordinal)) + 1;
        int end = Array.FindIndex(lines, line => line.StartsWith("end ", StringComparison.Ordinal));
        for (int pe = 0; pe < 4; pe++)
        {
            foreach (string[] added in (string[][])
            [
                [$"dsb pe={pe} op=sy"],
                [$"tlbi pe={pe} op=alle1is vmid=0 ipa=0x0 bytes=0x0 level=0 reaches=0xffffffff"],
                [
                    $"tlbi pe={pe} op=ipas2e1is vmid=1 ipa=0x80000000 bytes=0x1 level=0 reaches=0xffffffff",
                    $"dsb pe={pe} op=ish",
                ],
                [
                    $"tlbi pe={pe} op=vmalls12e1is vmid=1 ipa=0x0 bytes=0x0 level=0 reaches=0x1",
                    $"dsb pe={pe} op=ish",
                ],
            ])
            {
                string[] everywhere = lines;
                for (int at = end; at >= first; at--)
                {
                    Outcome(name, [.. lines[..at], .. added, .. lines[at..]])
                        .ShouldBe(LitmusOutcome.Passes, $"{added[0]} before line {at + 1}: {lines[at]}");
                    everywhere = [.. everywhere[..at], .. added, .. everywhere[at..]];
                }

                Outcome(name, everywhere).ShouldBe(LitmusOutcome.Passes, $"{added[0]} everywhere");
            }
        }
    }

    /// <summary>What goes wrong still does where one more PE runs the VM as well.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Another_PE_makes_nothing_right(string name)
    {
        string[] lines = Read(Prefix + name).Split('\n');
        string trace = string.Join('\n', lines);
        int spare = Enumerable.Range(0, 4).FirstOrDefault(
            pe => !trace.Contains($"pe={pe} ", StringComparison.Ordinal), -1);
        if (spare < 0 || Outcome(name, lines) is not LitmusOutcome.Violation)
        {
            return;
        }

        for (int at = 0; at < lines.Length; at++)
        {
            if (lines[at].StartsWith("load ", StringComparison.Ordinal))
            {
                string load = PeField().Replace(lines[at], "pe=" + spare);
                Outcome(name, [.. lines[..(at + 1)], load, .. lines[(at + 1)..]])
                    .ShouldBe(LitmusOutcome.Violation, load);
            }
        }
    }

    private enum LitmusOutcome
    {
        Passes,
        Violation,
        Refused,
    }

    private static LitmusOutcome Outcome(string name, string[] lines)
    {
        int machine = Array.FindIndex(lines, line => line.StartsWith("machine ", StringComparison.Ordinal));
        int end = Array.FindIndex(lines, line => line.StartsWith("end ", StringComparison.Ordinal));
        int events = lines[machine..end].Count(line => line.Length != 0 && line[0] != '#');
        string[] counted = [.. lines[..end], $"end events={events}", string.Empty];
        string outcome = Judge(name, string.Join('\n', counted)).Outcome;
        return outcome == "no violation" ? LitmusOutcome.Passes
            : outcome.StartsWith("refused", StringComparison.Ordinal) ? LitmusOutcome.Refused : LitmusOutcome.Violation;
    }

    [Fact]
    public void The_page_has_every_trace()
    {
        var page = new Document("oracle-litmus.md");
        LitmusRow[] rows = [.. All().Select(name => Judge(name, Read(Prefix + name)))];
        IEnumerable<string> table = rows.Select(row =>
            $"| `{row.Name}` | {row.Head.Replace("|", "\\|", StringComparison.Ordinal)} | {row.Outcome} | "
            + $"{Word(row.Result)} |");
        IEnumerable<string> totals = Enum.GetValues<LitmusResult>().Select(result => string.Create(
            CultureInfo.InvariantCulture, $"- {Word(result)}: {rows.Count(row => row.Result == result)}"));
        IEnumerable<string> notes = rows.Where(row => _notes.ContainsKey(row.Name)).SelectMany(row =>
            Wrap($"- `{row.Name}`, {Word(row.Result)}: {_notes[row.Name]}"));
        foreach ((string part, string[] lines) in
            (ReadOnlySpan<(string, string[])>)[("totals", [.. totals]), ("notes", [.. notes]), ("traces", [.. table])])
        {
            if (Document.IsWritten)
            {
                page.Write(part, lines);
            }

            page.Read(part).ShouldBe(lines, "QUIETUS_WRITE_DOCS=1 ./test Oracle");
        }
    }

    [Theory]
    [InlineData("quietus oracle trace 1\nmachine granule=4K pes=1 features=none\nend events=1\n", "a head is due here")]
    [InlineData("quietus oracle trace 1\n# published: MAYBE.\nend events=0\n", "none of ALLOWED, FORBIDDEN")]
    [InlineData("quietus oracle trace 1\n# published: ALLOWEDLY\nend events=0\n", "none of ALLOWED, FORBIDDEN")]
    [InlineData("quietus oracle trace 1\n# published: ALLOWED.\nhello\nend events=1\n", "must be 'machine'")]
    [InlineData("", "a head is due here")]
    public void A_head_or_a_trace_that_is_broken_is_said_to_be(string trace, string problem) =>
        Should.Throw<TraceFormatException>(() => Judge("a", trace)).Message.ShouldContain(problem);

    private static IEnumerable<string> All() => typeof(LitmusTests).Assembly.GetManifestResourceNames()
        .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
        .Select(name => name[Prefix.Length..])
        .Order(StringComparer.Ordinal);

    private static LitmusRow Judge(string name, string trace) =>
        Litmus.Judge(name, new MemoryStream(Encoding.ASCII.GetBytes(trace)), TestContext.Current.CancellationToken);

    private static string Renamed(string trace, int[] pes)
    {
        trace = PeField().Replace(trace, match => "pe=" + pes[int.Parse(match.Groups[1].Value, null)]);
        trace = VmidField().Replace(trace, match => "vmid=" + (int.Parse(match.Groups[1].Value, null) ^ 6));
        trace = ReachField().Replace(trace, match =>
        {
            uint mask = Convert.ToUInt32(match.Groups[1].Value, 16);
            uint renamed = mask & ~0xFU;
            for (int pe = 0; pe < pes.Length; pe++)
            {
                renamed |= (mask >> pe & 1) << pes[pe];
            }

            return string.Create(CultureInfo.InvariantCulture, $"reaches=0x{renamed:x}");
        });

        return trace;
    }

    [GeneratedRegex(@"pe=(\d+)")]
    private static partial Regex PeField();

    [GeneratedRegex(@"vmid=(\d+)")]
    private static partial Regex VmidField();

    [GeneratedRegex("reaches=0x([0-9a-f]+)")]
    private static partial Regex ReachField();

    private static string Word(LitmusResult result) => result switch
    {
        LitmusResult.Agree => "agree",
        LitmusResult.Stricter => "stricter",
        LitmusResult.Unsound => "unsound",
        _ => "not expressible",
    };

    private static IEnumerable<string> Wrap(string text)
    {
        var line = new StringBuilder();
        foreach (string word in text.Split(' '))
        {
            if (line.Length + word.Length > 115)
            {
                yield return line.ToString();
                line.Clear().Append(' ');
            }

            line.Append(line.Length > 0 ? " " : string.Empty).Append(word);
        }

        yield return line.ToString();
    }

    private static string Read(string resource)
    {
        using Stream file = typeof(LitmusTests).Assembly.GetManifestResourceStream(resource)!;
        return new StreamReader(file).ReadToEnd();
    }
}
