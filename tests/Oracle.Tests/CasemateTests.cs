using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Quietus.Memory;
using Quietus.Oracle.Programs;
using Quietus.Oracle.Recording;
using Quietus.Oracle.Search;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>casemate's events: in its own form, and so that its rules about locks and memory hold.</summary>
public partial class CasemateTests
{
    public static TheoryData<string> Names => [.. Scenarios.Names];

    /// <summary>casemate-check 3.0.2 accepted the golden file, before VM B's root got its DSB ISHST.</summary>
    [Fact]
    public void A_life_and_the_next_one_are_written_as_they_were()
    {
        using Stream golden = typeof(CasemateTests).Assembly.GetManifestResourceStream("good_vmid_reused.casemate")!;
        Export("good_vmid_reused").ShouldBe(new StreamReader(golden).ReadToEnd());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_trace_is_written_in_its_form(string name) => Check(Export(name));

    [Theory]
    [InlineData(MaintenancePolicy.Fate)]
    [InlineData(MaintenancePolicy.BeforeSeries)]
    [InlineData(MaintenancePolicy.Patch5)]
    public void So_is_every_program(MaintenancePolicy policy)
    {
        int refused = 0;
        for (int seed = 1; seed <= 80; seed++)
        {
            var text = new StringWriter();
            var writer = new CasemateWriter(text);
            Subject.Engine.Run(
                RandomProgram.Options(seed, policy) with { Listener = writer }, RandomProgram.Steps(seed, 300));
            writer.End();
            if (writer.Refusal is null)
            {
                Check(text.ToString());
            }
            else
            {
                text.ToString().ShouldBeEmpty();
                refused++;
            }
        }

        refused.ShouldBeInRange(10, 60, "programs of all granules");
    }

    private static void Check(string text)
    {
        string[] lines = text.Split('\n');
        lines[^1].ShouldBeEmpty();
        var held = new Dictionary<string, string>();
        var memory = new HashSet<string>();
        for (int at = 0; at < lines.Length - 1; at++)
        {
            string line = lines[at];
            Match match = Event().Match(line);
            match.Success.ShouldBeTrue(line);
            match.Groups["id"].Value.ShouldBe(at.ToString(CultureInfo.InvariantCulture));
            (line.Count(letter => letter == '(') - line.Count(letter => letter == ')')).ShouldBe(0, line);
            string address = Address().Match(line).Groups[1].Value;
            switch (match.Groups["kind"].Value)
            {
                case "lock":
                    held.TryAdd(address, match.Groups["pe"].Value).ShouldBeTrue(line);
                    break;
                case "unlock":
                    held.Remove(address, out string? pe).ShouldBeTrue(line);
                    pe.ShouldBe(match.Groups["pe"].Value, line);
                    break;
                case "mem-init":
                    memory.Add(address).ShouldBeTrue(line);
                    break;
                case "mem-free":
                    memory.Remove(address).ShouldBeTrue(line);
                    break;
                case "mem-write":
                    held.Count.ShouldBe(1, line);
                    ulong table = ulong.Parse(address, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
                        & ~0xFFFUL;
                    memory.ShouldContain(table.ToString("x", CultureInfo.InvariantCulture), line);
                    break;
                default:
                    break;
            }
        }

        held.ShouldBeEmpty();
    }

    [GeneratedRegex(
        @"^\((?<kind>mem-(init|free|write)|hint|lock|unlock|barrier|tlbi|sysreg-write) \(id (?<id>\d+)\) "
        + @"\(tid (?<pe>\d)\) .*\(src ""quietus:\k<id>""\)\)$")]
    private static partial Regex Event();

    [GeneratedRegex(@"\(address 0x([0-9a-f]+)\)")]
    private static partial Regex Address();

    private static string Export(string scenario)
    {
        var text = new StringWriter();
        var writer = new CasemateWriter(text);
        using Stream trace = Scenarios.Open(scenario)!;
        TraceReader.Judge(trace, writer, TestContext.Current.CancellationToken);
        writer.End();
        return text.ToString();
    }
}
