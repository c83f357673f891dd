using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json.Nodes;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Campaigns;

/// <summary>Shards put together are the whole; what is missing, or there twice, is told.</summary>
public sealed class MergeProcessTests : IDisposable
{
    private readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    [Theory]
    [InlineData("check --policies fate,series --steps 9000 --all-findings", 2)]
    [InlineData("check --policies patch7 --steps 20000", 3)]
    [InlineData("check --policies fate --steps 3000", 5)]
    [InlineData("sim --memory 64M,128M --pages 4k,2m --policies series,fate", 3)]
    [InlineData("replay %munmap-2M-4k %kill-2M-4k %slot-2M-4k %kill-16M-thp no-such-trace", 3)]
    public void The_whole_is_the_same_however_it_was_cut(string work, int count)
    {
        JsonNode alone = Read(Document("alone", work));
        string[] files =
        [
            .. Enumerable.Range(0, count).Reverse()
                .Select(index => Document($"part{index}", $"{work} --shard {index}/{count}")),
        ];
        string merged = _cli.PathOf("merged");
        bool isReplay = work.StartsWith("replay", StringComparison.Ordinal);
        int expected = isReplay || alone["violations"] is JsonArray { Count: > 0 } ? 1 : 0;
        _cli.Run(["merge", .. files, "--json", merged, "--report", _cli.PathOf("r.html")]).Code.ShouldBe(expected);
        JsonObject whole = Read(merged).AsObject();
        whole.Remove("merged").ShouldBeTrue();
        if (!isReplay && expected == 1 && !work.Contains("--all-findings", StringComparison.Ordinal))
        {
            // How far a search had come at its first violation is chance.
            foreach (string key in (string[])["programs", "steps", "checks"])
            {
                whole.Remove(key);
                alone.AsObject().Remove(key);
            }
        }

        whole.ToJsonString().ShouldBe(alone.ToJsonString());
        string report = File.ReadAllText(_cli.PathOf("r.html"));
        report.ShouldContain($"in {count} of {count} shards");
        report.ShouldContain("quietus.");
    }

    [Fact]
    public void A_shard_that_is_missing_unfinished_or_there_twice_is_told_by_its_range()
    {
        const string Work = "sim --memory 64M,128M --pages 2m --policies series,fate";
        string[] files =
            [.. Enumerable.Range(0, 4).Select(index => Document($"part{index}", $"{Work} --shard {index}/4"))];
        Cli.Outcome missing = _cli.Run("merge", files[0], files[3]);
        missing.Code.ShouldBe(1);
        missing.Output.ShouldContain("2 deaths in 2 of 4 shards: this is not the whole");
        missing.Errors.ShouldContain("missing: shard 1/4 (deaths 1 to 1 of 4)");
        missing.Errors.ShouldContain("missing: shard 2/4 (deaths 2 to 2 of 4)");

        string again = _cli.WriteFile("again", File.ReadAllBytes(files[1]));
        Cli.Outcome repeated = _cli.Run(["merge", .. files, again]);
        repeated.Code.ShouldBe(0, repeated.Errors);
        repeated.Output.ShouldContain("4 deaths in 4 of 4 shards");
        repeated.Errors.ShouldContain("ran twice, counted once: shard 1/4");

        File.WriteAllText(again, File.ReadAllText(again).Replace("\"dsb\": ", "\"dsb\": 9", StringComparison.Ordinal));
        Cli.Outcome different = _cli.Run(["merge", .. files, again]);
        different.Code.ShouldBe(1);
        different.Errors.ShouldContain("ran twice with different results, of which the first counts: shard 1/4");

        File.WriteAllText(
            files[2],
            File.ReadAllText(files[2])
                .Replace("\"complete\": true", "\"complete\": false", StringComparison.Ordinal));
        Cli.Outcome unfinished = _cli.Run(["merge", .. files]);
        unfinished.Code.ShouldBe(1);
        unfinished.Errors.ShouldContain("not finished: shard 2/4");
    }

    [Fact]
    public void A_churn_that_was_cut_has_the_percentiles_of_one_that_was_not()
    {
        const string Work = "bench --churn 230 --lifetime mixed";
        JsonObject alone = Read(Document("alone", Work)).AsObject();
        string[] files =
            [.. Enumerable.Range(0, 3).Select(index => Document($"part{index}", $"{Work} --shard {index}/3"))];
        Cli.Outcome outcome = _cli.Run(
            ["merge", .. files, "--json", _cli.PathOf("merged"), "--report", _cli.PathOf("r.html")]);
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldStartWith("230 VMs of 16 to 64 MB, cortex-a72, lifetime mixed\n");
        outcome.Output.ShouldContain("0 bytes lost, 0 frees refused, 0 frames leaked");
        outcome.Output.ShouldContain("230 births in 3 of 3 shards");
        outcome.Output.Split('\n').Max(line => line.Length).ShouldBeInRange(60, 80);
        File.ReadAllText(_cli.PathOf("r.html")).ShouldContain("<th>VMs</th>");
        JsonObject whole = Read(_cli.PathOf("merged")).AsObject();
        whole.Remove("merged").ShouldBeTrue();

        // A drift is one boot's, and the host's time is chance; what percentiles are made of stays in the parts' whole.
        foreach (JsonObject json in (JsonObject[])[alone, whole])
        {
            json.Remove("wall_ns");
            foreach (JsonNode? phase in json["phases"]!.AsArray())
            {
                foreach (string key in (string[])[
                    "first_tenth_p50_instructions", "last_tenth_p50_instructions", "figures_instructions",
                    "figures_counts"])
                {
                    phase!.AsObject().Remove(key);
                }
            }
        }

        whole.ToJsonString().ShouldBe(alone.ToJsonString());
        Refused("lacks what a churn shard's document has", _cli.WriteFile("bent", Encoding.UTF8.GetBytes(
            File.ReadAllText(files[1]).Replace("figures_counts", "figures", StringComparison.Ordinal))));
        Cli.Outcome missing = _cli.Run("merge", files[0], files[2]);
        missing.Code.ShouldBe(1);
        missing.Errors.ShouldContain("missing: shard 1/3 (VMs 76 to 152 of 230)");
        missing.Output.ShouldContain("in 2 of 3 shards: this is not the whole");
    }

    [Fact]
    public void A_churn_that_lost_memory_in_one_shard_fails_the_whole()
    {
        string sound = Document("part0", "bench --churn 4 --shard 0/2");
        using var leaking = new Cli("leaks");
        leaking.Run("bench", "--churn", "4", "--shard", "1/2", "--json", _cli.PathOf("part1")).Code.ShouldBe(1);
        Cli.Outcome outcome = _cli.Run("merge", sound, _cli.PathOf("part1"));
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Output.ShouldContain("frames leaked");
    }

    [Fact]
    public void Deaths_that_differ_in_their_memory_alone_have_percentiles()
    {
        const string Work = "sim --sweep memory=32M..256M --pages 4k --policies series,fate";
        string[] files =
            [.. Enumerable.Range(0, 2).Select(index => Document($"part{index}", $"{Work} --shard {index}/2"))];
        Cli.Outcome outcome = _cli.Run(["merge", .. files, "--json", _cli.PathOf("merged")]);
        outcome.Code.ShouldBe(0, outcome.Errors);
        JsonNode whole = Read(_cli.PathOf("merged"));
        double[] deaths =
        [
            .. whole["rows"]!.AsArray().Where(row => row!["policy"]!.ToString() == "series")
                .Select(row => row!["death_ns"]!.GetValue<double>()).Order(),
        ];
        deaths.Length.ShouldBe(4);
        JsonNode series = whole["merged"]!["percentiles"]!.AsArray().Single(
            line => line!["policy"]!.ToString() == "series")!;
        series["count"]!.GetValue<int>().ShouldBe(4);
        series["p50_death_ns"]!.GetValue<double>().ShouldBe(deaths[1]);
        series["p90_death_ns"]!.GetValue<double>().ShouldBe(deaths[3]);
        series["max_death_ns"]!.GetValue<double>().ShouldBe(deaths[3]);
        outcome.Output.Split('\n').ShouldContain(line => line.Contains("p50", StringComparison.Ordinal));
        outcome.Output.Split('\n').Max(line => line.Length).ShouldBeInRange(60, 80);
    }

    [Fact]
    public void What_is_no_shard_of_the_same_work_is_refused()
    {
        string one = Document("one", "check --policies fate --steps 2000 --shard 0/2");
        string whole = Document("whole", "check --policies fate --steps 2000");
        string otherSeed = Document("seed", "check --policies fate --steps 2000 --seed 7 --shard 1/2");
        string otherCount = Document("count", "check --policies fate --steps 2000 --shard 1/3");
        string sim = Document("sim", "sim --memory 64M --policies fate --shard 0/2");
        Refused("holds a whole result", one, whole);
        Refused("their config differs in 'first_seed'", one, otherSeed);
        Refused("one is of 2 shards, the other of 3", one, otherCount);
        Refused("one is quietus.check/1, the other quietus.sim/1", one, sim);
        Refused("is no whole JSON document", _cli.WriteFile("cut", File.ReadAllBytes(one)[..^40]));
        Refused("is JSON, but no document", _cli.WriteFile("list", "[1]"u8.ToArray()));
        Refused("is a document without a schema", _cli.WriteFile("object", "{}"u8.ToArray()));
        Refused("is a quietus.doctor/1", _cli.WriteFile("doctor", "{\"schema\":\"quietus.doctor/1\"}"u8.ToArray()));
        Refused("is no part of a whole", _cli.WriteFile("lie", Encoding.UTF8.GetBytes(
            File.ReadAllText(one).Replace("\"end\": 1", "\"end\": 2", StringComparison.Ordinal))));
        Refused("cannot be read", _cli.PathOf("nowhere"));
    }

    private void Refused(string why, params string[] files)
    {
        Cli.Outcome outcome = _cli.Run(["merge", .. files]);
        outcome.Code.ShouldBe(2, why);
        outcome.Errors.ShouldContain(why);
        outcome.Errors.ShouldContain("\n  next: ");
    }

    /// <summary>Runs a verb and returns where its document is.</summary>
    private string Document(string name, string work)
    {
        string path = _cli.PathOf(name);
        Cli.Outcome outcome = _cli.Run([.. work.Split(' ').Select(Word), "--json", path]);
        outcome.Code.ShouldBeInRange(0, 1, outcome.Errors);
        return path;
    }

    /// <summary>A word of a command line: behind a per cent sign the name of a trace.</summary>
    private static string Word(string word) => word.StartsWith('%')
        ? Path.Combine(AppContext.BaseDirectory, "Data", word[1..] + ".txt.gz")
        : word;

    private static JsonNode Read(string path) => JsonNode.Parse(File.ReadAllText(path))!;
}
