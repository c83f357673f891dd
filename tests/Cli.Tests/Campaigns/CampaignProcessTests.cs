using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
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
