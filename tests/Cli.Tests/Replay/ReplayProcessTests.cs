using System;
using System.IO;
using System.Linq;
using System.Text.Json;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Replay;

public sealed class ReplayProcessTests
{
    [Theory]
    [InlineData("linux-guest-4k-munmap-n1")]
    [InlineData("linux-guest-4k-kill-n1")]
    [InlineData("linux-guest-thp-munmap-n1")]
    [InlineData("munmap-2M-4k")]
    [InlineData("mprotect-2M-4k")]
    [InlineData("slot-2M-4k")]
    [InlineData("kill-2M-4k")]
    [InlineData("munmap-16M-thp")]
    [InlineData("kill-16M-thp")]
    public void Every_trace_is_compared_in_80_columns(string name)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("replay", Trace(name), "--policy", "all");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Errors.ShouldBeEmpty();
        outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        outcome.Output.ShouldStartWith(name + ".txt.gz: ");
        outcome.Output.ShouldContain("vmid-at-death: ");
        outcome.Output.ShouldNotContain("Note: ");
        outcome.Output.ShouldNotContain("\e");
    }

    [Fact]
    public void The_JSON_has_the_trace_the_rows_and_the_named_differences()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run("replay", Trace("munmap-2M-4k"), "--machine", "d05,modern", "--json", "-");
        outcome.Code.ShouldBe(0, outcome.Errors);
        using JsonDocument document = JsonDocument.Parse(outcome.Output);
        JsonElement root = document.RootElement;
        root.GetProperty("schema").GetString().ShouldBe("quietus.replay/1");
        root.GetProperty("traced").GetProperty("unmap").GetProperty("leaf_tlbi").GetInt64().ShouldBe(512);
        root.GetProperty("rows").EnumerateArray()
            .Select(row => row.GetProperty("machine").GetString() + "/" + row.GetProperty("policy").GetString())
            .ShouldBe(
            [
                "d05/before-series", "d05/series", "d05/fate",
                "modern/before-series", "modern/series", "modern/fate",
            ]);
        root.GetProperty("rows")[0].GetProperty("unmap").GetProperty("tlbi_ipa").GetInt64().ShouldBe(514);
        root.GetProperty("rows")[3].GetProperty("unmap").GetProperty("dc_lines").GetInt64().ShouldBe(0);
        root.GetProperty("differences").EnumerateArray().Select(item => item.GetProperty("name").GetString())
            .ShouldContain("forced-write-back");
    }

    [Fact]
    public void A_trace_comes_from_stdin_or_a_FIFO_as_well()
    {
        using var cli = new Cli();
        string file = cli.Run("replay", Trace("munmap-2M-4k"), "--csv", "-").Output;
        file.ShouldStartWith("machine,policy,map_leaves,");
        cli.Shell($"cat {Trace("munmap-2M-4k")} | $Q replay - --csv -").Output.ShouldBe(file);
        cli.Shell($"mkfifo f; cat {Trace("munmap-2M-4k")} >f & $Q replay f --csv -").Output.ShouldBe(file);
    }

    [Fact]
    public void Two_VMs_are_named_and_one_is_chosen()
    {
        using var cli = new Cli();
        string file = cli.WriteFile("two.txt", System.Text.Encoding.UTF8.GetBytes(
            "a-11 (10) [0] .... 1.0: s2map: addr=0x1000 size=0x1000 phys=0x1000 prot=0x6\n"
            + "b-21 (20) [1] .... 1.1: s2map: addr=0x1000 size=0x1000 phys=0x2000 prot=0x6\n"));
        Cli.Outcome outcome = cli.Run("replay", file);
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain("2 VMs are in the trace, of the processes 10 (1 maps), 20 (1 maps)");
        cli.Run("replay", file, "--pid", "20").Output.ShouldContain("1 map");
        string[] lines = cli.Run("replay", file, "--list").Output.Split('\n');
        lines[2].Split(' ', StringSplitOptions.RemoveEmptyEntries).ShouldBe(["10", "1", "1", "1", "-"]);
    }

    [Fact]
    public void The_script_that_records_is_one()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Shell("$Q replay --record-script >r.sh && sh -n r.sh && sh r.sh");
        outcome.Code.ShouldBe(1);
        outcome.Errors.ShouldContain("usage: record-trace.sh FILE.gz");
    }

    [Fact]
    public void What_is_missing_of_a_trace_is_said()
    {
        using var cli = new Cli();
        string[] lines = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Data", "small.txt"));
        string text = string.Join('\n', lines.Take(9).Append("noise").Append("CPU:1 [LOST 7 EVENTS]")) + "\nhalf";
        string file = cli.WriteFile("cut.txt", System.Text.Encoding.UTF8.GetBytes(text));
        Cli.Outcome outcome = cli.Run("replay", file);
        outcome.Code.ShouldBe(0, outcome.Errors);
        string said = outcome.Output.ReplaceLineEndings(" ");
        said.ShouldContain("7 events were lost");
        said.ShouldContain("1 line is no event, the first is line 10");
        said.ShouldContain("the last line has no end");
        said.ShouldContain("the trace ends before the VM does");
    }

    [Fact]
    public void Other_events_are_named_and_x86_says_what_it_is()
    {
        using var cli = new Cli();
        string file = cli.WriteFile("x86.txt", System.Text.Encoding.UTF8.GetBytes(
            "     0.100 kvm/300 kvmmmu:kvm_tdp_mmu_spte_changed(gfn: 256, old_spte: 0, "
            + "new_spte: 2071, level: 1, as_id: 0)\n"
            + string.Concat(Enumerable.Range(0, 10).Select(i => $"     0.20{i} kvm/300 kvm:event_{i}(a: 1)\n"))));
        Cli.Outcome outcome = cli.Run("replay", file, "--json", "x86.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        string said = outcome.Output.ReplaceLineEndings(" ");
        said.ShouldContain("1 event_0, 1 event_1,");
        said.ShouldContain("and 2 of other names");
        said.ShouldContain("the host is KVM/x86");
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("x86.json")));
        JsonElement traced = document.RootElement.GetProperty("traced");
        traced.GetProperty("kvm_x86").GetBoolean().ShouldBeTrue();
        traced.GetProperty("other_event_names").GetArrayLength().ShouldBe(10);
        traced.GetProperty("other_event_names")[0].GetProperty("count").GetInt64().ShouldBe(1);
    }

    [Fact]
    public void A_map_above_what_a_simulated_machine_has_is_refused()
    {
        using var cli = new Cli();
        string file = cli.WriteFile("high.txt", System.Text.Encoding.UTF8.GetBytes(
            "a-1 [0] .... 1.0: s2map: addr=0x1000 size=0x1000 phys=0xf0000000000 prot=0x6\n"));
        Cli.Outcome outcome = cli.Run("replay", file);
        outcome.Code.ShouldBe(2);
        outcome.Errors.ShouldContain("above 8 TB");
    }

    [Fact]
    public void Many_traces_are_played_and_one_that_cannot_be_read_is_told_and_stops_no_other()
    {
        using var cli = new Cli();
        string bad = cli.WriteFile("bad.txt", "nothing of KVM\n"u8.ToArray());
        Cli.Outcome outcome = cli.Run(
            "replay", Trace("munmap-2M-4k"), bad, Trace("kill-2M-4k"), Trace("munmap-2M-4k"), "--jobs", "2", "--json",
            "all.json", "--csv", "all.csv");
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Errors.ShouldContain("1 trace could not be played; see the table");
        outcome.Output.ShouldStartWith("3 traces of 3 files, 1 of them not played\n");
        outcome.Output.ShouldContain("bad.txt: ");
        outcome.Output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(cli.PathOf("all.json")));
        JsonElement root = document.RootElement;
        root.GetProperty("schema").GetString().ShouldBe("quietus.replays/1");
        root.GetProperty("complete").GetBoolean().ShouldBeTrue();
        root.GetProperty("traces").GetArrayLength().ShouldBe(3);
        root.GetProperty("traces")[1].GetProperty("error").GetString()!.ShouldContain("bad.txt");
        root.GetProperty("rows").GetArrayLength().ShouldBe(6);

        // Each trace's row is what it is alone.
        string alone = cli.Run("replay", Trace("munmap-2M-4k"), "--json", "-").Output;
        JsonElement row = JsonDocument.Parse(alone).RootElement.GetProperty("rows")[0];
        JsonElement[] rows = [.. root.GetProperty("rows").EnumerateArray()];
        rows[0].GetProperty("unmap").GetRawText().ShouldBe(row.GetProperty("unmap").GetRawText());

        // The range was unmapped in one of the two; each has its maps.
        JsonElement[] series =
        [
            .. root.GetProperty("percentiles").EnumerateArray()
                .Where(line => line.GetProperty("policy").GetString() == "series"),
        ];
        series.Single(line => line.GetProperty("phase").GetString() == "unmap").GetProperty("max_ns").GetDouble()
            .ShouldBe(rows[1].GetProperty("unmap").GetProperty("total_ns").GetDouble());
        series.Single(line => line.GetProperty("phase").GetString() == "map").GetProperty("traces").GetInt32()
            .ShouldBe(2);
        File.ReadAllLines(cli.PathOf("all.csv"))[0].ShouldStartWith("trace,machine,policy,map_leaves,");
    }

    [Fact]
    public void The_merged_table_is_as_wide_as_ever_whatever_the_traces_are_called()
    {
        using var cli = new Cli();
        string name = new string('n', 60) + "-kill.txt.gz";
        string trace = cli.WriteFile(name, File.ReadAllBytes(Trace("kill-2M-4k")));
        cli.Run("replay", trace, Trace("munmap-2M-4k"), "--shard", "0/1", "--json", "s.json").Code.ShouldBe(0);
        string merged = cli.Run("merge", "s.json").Output;
        merged.Split('\n').ShouldAllBe(line => line.Length <= 80);
        merged.ShouldContain("nnn-kill.txt.gz ");
    }

    [Theory]
    [InlineData("a b --list", "--list names the VMs of one trace")]
    [InlineData("a b --pid 5", "--pid means nothing with several traces")]
    [InlineData("a - ", "stdin is one trace")]
    [InlineData("a --jobs 2", "--jobs means nothing with one trace")]
    [InlineData("a b --shard 2/2", "there is no part 2 of 2")]
    public void What_makes_no_sense_of_several_traces_is_refused(string arguments, string says)
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            ["replay", .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Errors.ShouldContain(says);
        outcome.Errors.ShouldContain("\n  next: ");
    }

    private static string Trace(string name) =>
        Path.Combine(AppContext.BaseDirectory, "Data", name + ".txt.gz");
}
