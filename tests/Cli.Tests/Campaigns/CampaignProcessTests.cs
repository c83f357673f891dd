using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Campaigns;

/// <summary>Campaigns here, and what is handed to clusters.</summary>
public sealed class CampaignProcessTests : IDisposable
{
    private static readonly string[] _check =
        ["campaign", "check", "--policies", "fate", "--steps", "6000", "--shards", "3", "--folder", "f"];

    private readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public void A_campaign_here_runs_each_shard_once_and_again_only_what_is_not_there()
    {
        Cli.Outcome first = _cli.Run(_check);
        first.Code.ShouldBe(0, first.Errors);
        first.Output.ShouldStartWith("6 programs, 6,000 steps, ");
        first.Output.ShouldContain("in 3 of 3 shards");
        first.Errors.Split('\n').Count(line => line.EndsWith("is done", StringComparison.Ordinal)).ShouldBe(3);

        // One is gone, and one was cut off in the middle.
        File.Delete(_cli.PathOf("f/shard-00000.json"));
        File.WriteAllText(_cli.PathOf("f/shard-00002.json"), File.ReadAllText(_cli.PathOf("f/shard-00002.json"))[..50]);
        Cli.Outcome second = _cli.Run(_check);
        second.Code.ShouldBe(0, second.Errors);
        second.Output.ShouldBe(first.Output);
        second.Errors.ShouldContain("1 of 3 shards are there already");
        second.Errors.ShouldContain("shard 0/3 is done");
        second.Errors.ShouldContain("shard 2/3 is done");
        second.Errors.ShouldNotContain("shard 1/3 is done");

        Cli.Outcome other = _cli.Run([.. _check, "--seed", "9"]);
        other.Code.ShouldBe(2);
        other.Errors.ShouldContain("holds another campaign");
    }

    [Fact]
    public void A_violation_in_a_shard_is_the_campaigns_result()
    {
        Cli.Outcome outcome = _cli.Run(
            "campaign", "check", "--policies", "patch7", "--steps", "9000", "--shards", "3", "--folder", "f");
        outcome.Code.ShouldBe(1);
        outcome.Output.ShouldContain("again: ./quietus check --seed ");
        outcome.Output.ShouldContain("1 violation in 3 of 3 shards");
    }

    [Fact]
    public void A_campaign_that_is_killed_leaves_nothing_running_and_goes_on_where_it_was()
    {
        string[] longer =
            ["campaign", "check", "--policies", "fate", "--steps", "600000", "--shards", "2", "--folder", "f"];
        using Process process = _cli.Start(longer);
        Cli.Wait(() => File.Exists(_cli.PathOf("f/shard-00000.log")), "no shard was started");
        int[] shards = Shards(process.Id);
        shards.ShouldNotBeEmpty();
        Cli.Signal(process, Cli.KillNow);
        process.WaitForExit();
        Cli.Wait(() => !shards.Any(Cli.IsAlive), "a shard outlives its campaign");
    }

    [Fact]
    public void An_exhaustive_campaign_is_the_single_machines_and_goes_on_where_a_shard_is_gone()
    {
        const string Work = "check --exhaustive pes=1,vms=1,pages=2,steps=4,features=all --policies patch7";
        string alone = _cli.PathOf("alone");
        Cli.Outcome single = _cli.Run([.. Work.Split(' '), "--json", alone]);
        single.Code.ShouldBe(1, single.Errors);
        string[] campaign = ["campaign", .. Work.Split(' '), "--shards", "3", "--folder", "f"];
        Cli.Outcome first = _cli.Run(campaign);
        first.Code.ShouldBe(1, first.Errors);
        first.Output.ShouldStartWith(single.Output);
        first.Output.ShouldContain("in 3 of 3 shards");
        JsonObject whole = JsonNode.Parse(File.ReadAllText(_cli.PathOf("f/merged.json")))!.AsObject();
        whole.Remove("merged").ShouldBeTrue();
        whole.ToJsonString().ShouldBe(JsonNode.Parse(File.ReadAllText(alone))!.ToJsonString());

        // A shard that died in the middle has left half a file beside, and no document.
        Dictionary<string, string> before = States();
        File.Delete(_cli.PathOf("f/level-02/shard-00001.json"));
        File.Delete(_cli.PathOf("f/states/level-02/shard-00001.json"));
        File.Move(
            _cli.PathOf("f/states/level-02/shard-00001.search-000"),
            _cli.PathOf("f/states/level-02/shard-00001.search-000.there-1.part"));
        Cli.Outcome second = _cli.Run(campaign);
        second.Output.ShouldBe(first.Output);
        second.Errors.Split('\n').Count(line => line.EndsWith("is done", StringComparison.Ordinal)).ShouldBe(1);
        second.Errors.ShouldContain("shard 1/3 is done");
        File.Delete(_cli.PathOf("f/states/level-02/shard-00001.search-000.there-1.part"));
        States().ShouldBe(before, "the same bytes");

        // Levels are told apart, and what is not the whole says so.
        string[] middle =
            [.. Enumerable.Range(0, 3).Select(index => _cli.PathOf($"f/level-02/shard-0000{index}.json"))];
        Cli.Outcome part = _cli.Run(["merge", .. middle]);
        part.Code.ShouldBe(1);
        part.Errors.ShouldContain("not finished: level 2 of 4 is the last");
        _cli.Run("merge", middle[0], _cli.PathOf("f/level-03/shard-00001.json")).Errors
            .ShouldContain("their config differs in 'level'");
    }

    [Fact]
    public void A_shard_of_a_level_that_is_killed_leaves_nothing_that_the_next_level_takes()
    {
        const string Work =
            "check --exhaustive pes=2,vms=2,pages=2,steps=9 --policies fate --jobs 1 --states s --shard";
        for (int level = 0; level < 6; level++)
        {
            Level(0, level).Code.ShouldBe(0);
            Level(1, level).Code.ShouldBe(0);
        }

        Level(0, 6).Code.ShouldBe(0);
        using (Process process = _cli.Start([.. Words(1, 6)]))
        {
            Cli.Wait(() => process.TotalProcessorTime > TimeSpan.FromSeconds(1.5), "the shard does not begin");
            Cli.Signal(process, Cli.KillNow);
            process.WaitForExit();
        }

        Directory.GetFiles(_cli.PathOf("s/level-06"), "shard-00001.*").ShouldAllBe(
            file => file.EndsWith(".part", StringComparison.Ordinal));
        Cli.Outcome early = Level(0, 7);
        early.Code.ShouldBe(2);
        early.Errors.ShouldContain("level 6 of shard 1/2 cannot be read: it is not there");
        early.Errors.ShouldContain("run --shard 1/2 --level 6 first");

        // Another search's folder is not taken for this one's.
        Cli.Outcome other = _cli.Run(
            [.. Words(0, 6).Select(word => word.Replace("steps=9", "steps=8", StringComparison.Ordinal))]);
        other.Code.ShouldBe(2);
        other.Errors.ShouldContain("it is no file of this search, level and shard");

        Cli.Outcome Level(int shard, int level) => _cli.Run([.. Words(shard, level)]);
        static string[] Words(int shard, int level) => [.. Work.Split(' '), $"{shard}/2", "--level", $"{level}"];
    }

    [Theory]
    [InlineData("check --steps 1000 --json x", "--json is not for a campaign")]
    [InlineData("check --steps 1000 --shard 0/2", "--shard is not for a campaign")]
    [InlineData("check", "--shard needs --steps")]
    [InlineData("check --stps 1000", "check takes no '--stps'")]
    [InlineData("sim --ablate", "--ablate and --report look at all deaths")]
    [InlineData("run", "campaign takes no 'run'")]
    [InlineData("sim --on moon", "unknown engine 'moon'")]
    [InlineData("sim --shards 0", "'0' is no number of shards")]
    [InlineData("sim --shard-memory 3", "is no memory of a shard")]
    [InlineData("sim --on kubernetes", "--on kubernetes needs --container")]
    [InlineData("sim --claim c", "--claim is for check --exhaustive on Kubernetes")]
    [InlineData("check --exhaustive pes=9", "'9' is no bound")]
    [InlineData("check --exhaustive", "--exhaustive")]
    [InlineData("check --exhaustive pes=1 --level 1", "--level is not for a campaign")]
    [InlineData("check --exhaustive pes=1 --on kubernetes --container c", "needs --claim")]
    public void What_no_shard_could_do_is_refused_before_any_is_started(string words, string why)
    {
        Cli.Outcome outcome = _cli.Run(["campaign", .. words.Split(' ')]);
        outcome.Code.ShouldBe(2, outcome.Output);
        outcome.Errors.ShouldContain(why);
    }

    [Fact]
    public void The_manifest_is_a_Job_by_Kubernetes_own_schema()
    {
        _cli.Run(
            "campaign", "check", "--steps", "5000", "--shards", "5", "--folder", "f", "--on", "kubernetes",
            "--container", "a.b/c:1", "--write-only",
            "--shard-limit", "90s", "--shard-memory", "512M").Code.ShouldBe(0);

        // Strict: a field that the published schema does not have is an error.
        V1Job job = KubernetesYaml.Deserialize<V1Job>(File.ReadAllText(_cli.PathOf("f/job.yaml")), strict: true);
        job.ApiVersion.ShouldBe("batch/v1");
        job.Kind.ShouldBe("Job");
        job.Spec.CompletionMode.ShouldBe("Indexed");
        (job.Spec.Completions, job.Spec.Parallelism, job.Spec.BackoffLimitPerIndex).ShouldBe((5, 5, 2));
        job.Spec.PodFailurePolicy.Rules.Last().OnExitCodes.Values.ShouldBe([1, 2, 77]);
        V1PodSpec pod = job.Spec.Template.Spec;
        pod.RestartPolicy.ShouldBe("Never");
        pod.ActiveDeadlineSeconds.ShouldBe(90);
        pod.SecurityContext.RunAsNonRoot.ShouldBe(true);
        V1Container container = pod.Containers.Single();
        container.Image.ShouldBe("a.b/c:1");
        container.Env.Single().ShouldSatisfyAllConditions(
            variable => variable.Name.ShouldBe("QUIETUS_SHARDS"), variable => variable.Value.ShouldBe("5"));
        container.Resources.Limits["memory"].ToString().ShouldBe("512Mi");

        // What the pod would run is a command line that works, and its output is the document.
        Cli.Outcome shard = _cli.With("JOB_COMPLETION_INDEX", "4").With("QUIETUS_SHARDS", "5")
            .Run([.. container.Args]);
        shard.Code.ShouldBe(0, shard.Errors);
        shard.Output.ShouldStartWith("{");
        shard.Output.ShouldContain("\"index\": 4");
    }

    [Fact]
    public void Levels_on_a_cluster_are_jobs_in_a_row_that_share_a_folder()
    {
        const string Work = "campaign check --exhaustive pes=1,vms=1,pages=1,steps=2 --shards 2 --write-only";
        Cli.Outcome pods = _cli.Run(
            [.. Work.Split(' '), "--folder", "k", "--on", "kubernetes", "--container", "c", "--claim", "v"]);
        pods.Code.ShouldBe(0, pods.Errors);
        V1PodSpec pod = KubernetesYaml.Deserialize<V1Job>(
            File.ReadAllText(_cli.PathOf("k/level-02/job.yaml")), strict: true).Spec.Template.Spec;
        pod.SecurityContext.FsGroup.ShouldBe(10001);
        pod.Volumes.Single().PersistentVolumeClaim.ClaimName.ShouldBe("v");
        string mount = pod.Containers.Single().VolumeMounts.Single().MountPath;
        string[] words = [.. pod.Containers.Single().Args];
        string states = words[Array.IndexOf(words, "--states") + 1];
        states.ShouldStartWith(mount + "/quietus-check-");
        words[Array.IndexOf(words, "--level") + 1].ShouldBe("2");
        _cli.Shell("bash -n k/submit.sh").Code.ShouldBe(0);

        // A stand-in for sbatch runs the array's tasks where it is, and knows what it was told to wait for.
        _cli.Run([.. Work.Split(' '), "--folder", "s", "--on", "slurm"]).Code.ShouldBe(0);
        _cli.WriteFile("bin/sbatch", """
            #!/bin/sh
            for job; do :; done
            echo "$2" >>waits
            for task in 0 1; do SLURM_ARRAY_TASK_ID=$task bash "$job" >>log 2>&1 || echo failed >>waits; done
            echo "$(wc -l <waits);cluster"
            """u8.ToArray());
        Cli.Outcome run = _cli.Shell("chmod +x bin/sbatch; PATH=$PWD/bin:$PATH bash s/submit.sh");
        run.Code.ShouldBe(0, run.Errors);
        File.ReadAllLines(_cli.PathOf("waits"))[1..]
            .ShouldBe(["--dependency=afterany:1", "--dependency=afterany:2"]);

        // The same command without --write-only collects.
        Cli.Outcome collected = _cli.Run(
            [.. Work.Split(' ').SkipLast(1), "--folder", "s", "--on", "slurm"]);
        collected.Code.ShouldBe(0, collected.Errors);
        collected.Output.ShouldContain("in 2 of 2 shards");
    }

    [Fact]
    public void Pods_documents_are_fetched_from_their_logs()
    {
        string[] campaign =
        [
            "campaign", "check", "--policies", "fate", "--steps", "2000", "--shards", "2", "--folder", "f", "--on",
            "kubernetes", "--container", "c",
        ];
        string bin = _cli.PathOf("bin");
        Directory.CreateDirectory(bin);

        // A stand-in for kubectl: the Job is done at once, and pod p1 has warned before it wrote its document.
        _cli.WriteFile("bin/kubectl", """
            #!/bin/sh
            case "$*" in
              create*) touch "$0.made"; echo made ;;
              "get job"*) [ -e "$0.made" ] && cat "$0.job" ;;
              "get pods"*) cat "$0.pods" ;;
              "logs p0") cat "$0.0" ;;
              "logs p1") echo "warning: slow"; cat "$0.1" ;;
            esac
            """u8.ToArray());
        _cli.WriteFile("bin/kubectl.job", """
            {"status": {"succeeded": 2, "conditions": [{"type": "Complete", "status": "True"}]}}
            """u8.ToArray());
        _cli.WriteFile("bin/kubectl.pods", System.Text.Encoding.UTF8.GetBytes("{\"items\": ["
            + string.Join(", ", "019".Select(index => $$$"""
                {"metadata": {"name": "p{{{index}}}",
                  "annotations": {"batch.kubernetes.io/job-completion-index": "{{{index}}}"}},
                 "status": {"phase": "Succeeded"}}
                """)) + "]}"));
        _cli.Shell("chmod +x bin/kubectl").Code.ShouldBe(0);
        for (int index = 0; index < 2; index++)
        {
            _cli.Run(
                "check", "--policies", "fate", "--steps", "2000", "--shard", $"{index}/2", "--json",
                _cli.PathOf($"bin/kubectl.{index}")).Code.ShouldBe(0);
        }

        _cli.With("PATH", bin + ":" + Environment.GetEnvironmentVariable("PATH"));
        Cli.Outcome outcome = _cli.Run(campaign);
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("2 programs, 2,000 steps");
        outcome.Errors.ShouldContain("2 succeeded");
    }

    /// <summary>All that shards have left to each other.</summary>
    private Dictionary<string, string> States() => Directory.GetFiles(
        _cli.PathOf("f/states"), "*", SearchOption.AllDirectories).ToDictionary(
            file => file, file => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(
                File.ReadAllBytes(file))));

    /// <summary>The processes that a campaign has started.</summary>
    private static int[] Shards(int campaign) =>
    [
        .. Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(name => name!.All(char.IsAsciiDigit))
            .Select(name => int.Parse(name!, System.Globalization.CultureInfo.InvariantCulture))
            .Where(pid => ParentOf(pid) == campaign),
    ];

    private static int ParentOf(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            return int.Parse(
                stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
