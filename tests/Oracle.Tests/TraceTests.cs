using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Quietus.Memory;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Recording;
using Quietus.Oracle.Search;
using Shouldly;
using Xunit;
using Outcome = Quietus.Oracle.Search.Outcome;

namespace Quietus.Oracle.Tests;

/// <summary>Traces: what is recorded is judged as the program was; what is broken is an error with its line.</summary>
public class TraceTests
{
    private static readonly string[] _small = TextOf("good_swap_out").Split('\n')[..^1];

    [Theory]
    [InlineData(MaintenancePolicy.Fate)]
    [InlineData(MaintenancePolicy.BeforeSeries)]
    [InlineData(MaintenancePolicy.Patch5)]
    [InlineData(MaintenancePolicy.Patch7)]
    public void A_recorded_program_is_judged_as_it_was_when_it_ran(MaintenancePolicy policy)
    {
        for (int seed = 1; seed <= 150; seed++)
        {
            string trace = Record(seed, policy, out Outcome live);
            TraceOutcome read = Judge(trace);
            read.Violation.ShouldBe(live.Violation);
            read.Events.ShouldBe(live.Events);

            // And to record what is replayed gives the same trace, as far as it was judged.
            var again = new StringWriter();
            var writer = new TraceWriter(again);
            Judge(trace, writer);
            writer.End();
            again.ToString().ShouldBe(trace);
        }
    }

    [Theory]
    [InlineData("", 1, "no trace of this oracle")]
    [InlineData("hello\n", 1, "no trace of this oracle")]
    [InlineData("quietus oracle trace 2\n", 1, "no trace of this oracle")]
    [InlineData("quietus oracle trace 1\n", 2, "not whole")]
    [InlineData("quietus oracle trace 1\nend events=0\n", 2, "no event")]
    [InlineData("quietus oracle trace 1\ndsb pe=0 op=sy\nend events=1\n", 2, "must be 'machine'")]
    [InlineData("\u001f\u008b\u0008\0", 1, "a byte 0x1f")]
    public void What_is_no_trace_is_said_to_be_none(string text, int line, string problem) =>
        Fails(text, line, problem);

    [Theory]
    [InlineData("dsb pe=1 op=ishst", "dsb pe=1 op=ishld", "op must be one of")]
    [InlineData("dsb pe=1 op=ishst", "dsb pe=2 op=ishst", "pe is out of range: 0 to 1")]
    [InlineData("dsb pe=1 op=ishst", "dsb pe=-1 op=ishst", "pe is no number")]
    [InlineData("dsb pe=1 op=ishst", "dsb pe=99999999999999999999 op=ishst", "pe is no number")]
    [InlineData("dsb pe=1 op=ishst", "dsb op=ishst pe=1", "needs pe=")]
    [InlineData("dsb pe=1 op=ishst", "dsb pe=1", "needs op=")]
    [InlineData("dsb pe=1 op=ishst", "dsb pe=1 op=ishst now=1", "more than its fields")]
    [InlineData("dsb pe=1 op=ishst", "dmb pe=1 op=ishst", "an unknown event")]
    [InlineData("dsb pe=1 op=ishst", "dsb pe=1\top=ishst", "a byte 0x09")]
    [InlineData("dsb pe=1 op=ishst", "machine granule=4K pes=2 features=none", "a second 'machine'")]
    [InlineData("dsb pe=1 op=ishst", "return\nreturn", "a return from no call", 1)]
    [InlineData("load pe=0 vm=2 vmid=1", "load pe=0 vm=1 vmid=1", "the number of no VM")]
    [InlineData("load pe=0 vm=2 vmid=1", "load pe=0 vm=4 vmid=1", "vm is out of range")]
    [InlineData("load pe=0 vm=2 vmid=1", "load pe=0 vm=2 vmid=65536", "vmid is out of range")]
    [InlineData("granule=4K", "granule=8K", "granule must be one of")]
    [InlineData("features=none", "features=fwb,fwb", "each once")]
    [InlineData("features=none", "features=sve", "each once")]
    [InlineData("number=3", "number=4", "3 is next")]
    [InlineData("root=0x40000000", "root=0x40003000", "the root must be tables")]
    [InlineData("root=0x40000000", "root=0x0", "no memory at these addresses")]
    [InlineData("bytes=0x800000", "bytes=0x80000000000", "at most 262144 pages")]
    [InlineData("bytes=0x800000", "bytes=0xffffffffffffffff", "bytes is out of range")]
    [InlineData("bytes=0x800000", "bytes=0x800001", "multiples of the granule")]
    [InlineData("at=0x40001000", "at=0x40001001", "a multiple of 8")]
    [InlineData("name=\"the memory of VM A's VMM\"", "name=\"\"", "in quotation marks")]
    [InlineData("name=\"the memory of VM A's VMM\"", "name=\"the", "in quotation marks")]
    [InlineData("read page=0x900000000", "read page=0x900010000", "no memory at these addresses")]
    public void A_broken_line_is_an_error_that_names_it(string old, string replacement, string problem, int further = 0)
    {
        int at = Array.FindIndex(_small, line => line.Contains(old, StringComparison.Ordinal));
        string[] lines = [.. _small];
        lines[at] = lines[at].Replace(old, replacement, StringComparison.Ordinal);
        Fails(string.Join('\n', lines) + "\n", at + 1 + further, problem);
    }

    [Fact]
    public void A_line_may_not_be_too_long() =>
        Fails("quietus oracle trace 1\n# " + new string('x', 100_000) + "\n", 2, "longer than 1000 characters");

    [Fact]
    public void There_is_no_verdict_for_a_trace_that_is_cut_anywhere()
    {
        foreach (string name in Scenarios.Names.Take(6))
        {
            string text = TextOf(name);
            for (int length = 0; length < text.Length; length++)
            {
                Should.Throw<TraceFormatException>(() => Judge(text[..length]));
            }
        }
    }

    [Fact]
    public void There_is_no_verdict_for_a_trace_that_a_line_was_taken_from_or_put_behind()
    {
        for (int at = 0; at < _small.Length; at++)
        {
            if (!_small[at].StartsWith('#'))
            {
                string[] fewer = [.. _small[..at], .. _small[(at + 1)..]];
                Should.Throw<TraceFormatException>(() => Judge(string.Join('\n', fewer) + "\n"));
            }
        }

        Fails(TextOf("good_unmap") + "# done\n", TextOf("good_unmap").Split('\n').Length, "nothing may come after");
    }

    [Fact]
    public void After_a_violation_the_rest_must_be_sound_all_the_same() =>
        Should.Throw<TraceFormatException>(() => Judge(TextOf("bad_destroy_posted_order").Replace(
            "return\nend", "retrun\nend", StringComparison.Ordinal))).Message.ShouldContain("an unknown event");

    [Fact]
    public void Tables_that_lead_in_a_circle_are_a_violation()
    {
        string[] lines = [.. _small];
        int at = Array.FindIndex(lines, line => line.Contains("at=0x40001000 value", StringComparison.Ordinal));
        lines[at] = "write-entry pe=1 at=0x40001000 value=0x40001003";
        Judge(string.Join('\n', lines) + "\n").Violation!.Text.ShouldContain("linked elsewhere already");
    }

    [Fact]
    public void Mutated_traces_come_to_a_verdict_or_to_an_error_with_a_line()
    {
        string[] corpus = [.. Scenarios.Names.Select(TextOf), Record(3, MaintenancePolicy.Fate, out _)];
        Gen<string> mutants =
            from text in Gen.Elements(corpus)
            from lines in Gen.ArrayOf(
                from kind in Gen.Choose(0, 4)
                from at in Gen.Choose(0, 1_000_000)
                from value in Gen.Choose(0, 1_000_000)
                select (kind, at, value))
            select lines.Take(8).Aggregate(text, (now, change) => Mutate(now, change.kind, change.at, change.value));
        Prop.ForAll(mutants.ToArbitrary(), text =>
        {
            try
            {
                Judge(text);
            }
            catch (TraceFormatException broken)
            {
                broken.Line.ShouldBeInRange(1, text.Split('\n').Length + 1);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));
    }

    private static string Mutate(string text, int kind, int at, int value)
    {
        string[] lines = text.Split('\n');
        int line = at % lines.Length;
        switch (kind)
        {
            case 0:
                (lines[line], lines[value % lines.Length]) = (lines[value % lines.Length], lines[line]);
                break;
            case 1:
                lines[line] = lines[value % lines.Length];
                break;
            case 2:
                char[] letters = text.ToCharArray();
                letters[at % Math.Max(1, letters.Length)] = (char)(value % 256);
                return new string(letters);
            case 3:
                // Another number of the trace, so that what comes out is whole as often as not.
                string[] words = lines[line].Split('=');
                words[^1] = lines[value % lines.Length].Split('=')[^1];
                lines[line] = string.Join('=', words);
                break;
            default:
                int digit = lines[line].IndexOf("0x", StringComparison.Ordinal) + 2;
                if (digit >= 2 && digit < lines[line].Length)
                {
                    lines[line] = lines[line].Remove(digit, 1).Insert(
                        digit, (value % 16).ToString("x", CultureInfo.InvariantCulture));
                }

                break;
        }

        return string.Join('\n', lines);
    }

    private static string Record(int seed, MaintenancePolicy policy, out Outcome outcome)
    {
        var text = new StringWriter();
        var writer = new TraceWriter(text);
        ProgramOptions options = RandomProgram.Options(seed, policy) with { Listener = writer };
        outcome = Subject.Engine.Run(options, RandomProgram.Steps(seed, 300));
        writer.End();
        return text.ToString();
    }

    private static void Fails(string text, int line, string problem)
    {
        TraceFormatException broken = Should.Throw<TraceFormatException>(() => Judge(text));
        broken.Message.ShouldContain(problem);
        broken.Line.ShouldBe(line);
    }

    private static TraceOutcome Judge(string text, IEventListener? listener = null) =>
        TraceReader.Judge(
            new MemoryStream(Encoding.Latin1.GetBytes(text)), listener, TestContext.Current.CancellationToken);

    private static string TextOf(string scenario)
    {
        using var reader = new StreamReader(Scenarios.Open(scenario)!);
        return reader.ReadToEnd();
    }
}
