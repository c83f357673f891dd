using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Campaigns;

/// <summary>
/// An indexed Job of Kubernetes (batch/v1, completionMode Indexed). A pod's log is its document: no volume is needed,
/// unless shards leave something to each other.
/// </summary>
internal sealed class KubernetesEngine : CampaignEngine
{
    private const string Index = "batch.kubernetes.io/job-completion-index";

    private const string StatesFolder = "/states";

    private static readonly TimeSpan _betweenLooks = TimeSpan.FromSeconds(5);

    public override string States(CampaignPlan plan) => plan.Claim is not null
        ? $"{StatesFolder}/{JobName(plan)}"
        : throw CliException.Usage(
            "--on kubernetes needs --claim with check --exhaustive",
            "name a PersistentVolumeClaim that all pods can write (ReadWriteMany): shards read each other's states");

    public override (string File, string Command)? Write(CampaignPlan plan)
    {
        string manifest = Path.Combine(plan.Folder, "job.yaml");
        string container = plan.Container ?? throw CliException.Usage(
            "--on kubernetes needs --container", "build one from the Containerfile, and name it: docs/campaigns.md");
        string words = string.Join("\n", plan.Words("auto", "-").Prepend("--quiet")
            .Select(word => "            - " + JsonSerializer.Serialize(word, CampaignContext.Default.String)));
        long megabytes = plan.MemoryBytes / ByteSize.Megabyte;
        string mount = plan.Claim is null ? string.Empty : $"""

                      volumeMounts:
                        - name: states
                          mountPath: {StatesFolder}
            """;
        string volume = plan.Claim is null ? string.Empty : $"""

                  volumes:
                    - name: states
                      persistentVolumeClaim:
                        claimName: {JsonSerializer.Serialize(plan.Claim, CampaignContext.Default.String)}
            """;
        string group = plan.Claim is null ? string.Empty : "\n        fsGroup: 10001";

        // Exit code 1 is a violation or a missed figure: the same again would find the same again. A pod without a
        // result for another reason, such as a lost node, is started anew.
        File.WriteAllText(manifest, string.Create(CultureInfo.InvariantCulture, $"""
            # One pod for each shard: kubectl create -f job.yaml
            apiVersion: batch/v1
            kind: Job
            metadata:
              name: {JobName(plan)}
            spec:
              completionMode: Indexed
              completions: {plan.Shards}
              parallelism: {plan.Shards}
              backoffLimitPerIndex: {plan.Retries}
              maxFailedIndexes: {plan.Shards}
              podFailurePolicy:
                rules:
                  - action: Ignore
                    onPodConditions:
                      - type: DisruptionTarget
                        status: "True"
                  - action: FailIndex
                    onExitCodes:
                      operator: In
                      values: [{ExitCode.Failed}, {ExitCode.Usage}, {ExitCode.NotSupported}]
              template:
                spec:
                  restartPolicy: Never
                  activeDeadlineSeconds: {(long)Math.Ceiling(plan.Limit.TotalSeconds)}
                  automountServiceAccountToken: false
                  securityContext:
                    runAsNonRoot: true
                    runAsUser: 10001{group}
                    seccompProfile:
                      type: RuntimeDefault
                  containers:
                    - name: quietus
                      image: {JsonSerializer.Serialize(container, CampaignContext.Default.String)}
                      args:
            {words}
                      env:
                        - name: {Shard.CountVariable}
                          value: "{plan.Shards}"
                      resources:
                        requests:
                          cpu: "{plan.Jobs}"
                          memory: {megabytes}Mi
                        limits:
                          memory: {megabytes}Mi
                      securityContext:
                        allowPrivilegeEscalation: false
                        capabilities:
                          drop: ["ALL"]{mount}{volume}

            """));
        return (manifest, "kubectl create -f " + ShellWord.Quote(manifest));
    }

    /// <summary>Nothing in Kubernetes starts one Job after another.</summary>
    protected override IEnumerable<string> ChainOf(IReadOnlyList<(string File, string Command)> jobs) =>
    [
        "# One Job for each level, which starts when the one before has ended.",
        "set -eu",
        .. jobs.SelectMany(job => new[]
        {
            job.Command,
            $"while kubectl get -f {ShellWord.Quote(job.File)} -o 'jsonpath={{.status.conditions[*].type}}' |",
            "    { ! grep -qE 'Complete|Failed'; }; do sleep 5; done",
        }),
    ];

    public override async Task RunAsync(
        CampaignPlan plan, IReadOnlyList<int> shards, Action<string> said, CancellationToken cancellation)
    {
        string kubectl = Programs.Find("kubectl") ?? throw CliException.NotSupported(
            "kubectl is not there: this machine cannot submit to Kubernetes",
            $"submit {Path.Combine(plan.Folder, "job.yaml")} where it is, then run this again there");
        string name = JobName(plan);
        if (await AskAsync(kubectl, ["get", "job", name, "-o", "json"], cancellation).ConfigureAwait(false) is null)
        {
            string made = await Programs.OutputAsync(
                kubectl, ["create", "-f", Path.Combine(plan.Folder, "job.yaml")], cancellation).ConfigureAwait(false);
            if (made.Length == 0)
            {
                throw new CliException(
                    ExitCode.Failed, "Kubernetes did not take the job",
                    $"kubectl create -f {ShellWord.Quote(Path.Combine(plan.Folder, "job.yaml"))} says why");
            }
        }

        said("job " + name);
        string last = string.Empty;
        while (true)
        {
            JsonNode status = (await AskAsync(kubectl, ["get", "job", name, "-o", "json"], cancellation)
                .ConfigureAwait(false))?["status"] ?? throw new CliException(
                    ExitCode.Failed, $"job {name} is gone", "run this again: it is made anew");
            string now = $"{status["active"] ?? 0} active, {status["succeeded"] ?? 0} succeeded, "
                + $"{status["failed"] ?? 0} failed";
            if (now != last)
            {
                said(now);
                last = now;
            }

            await FetchAsync(plan, kubectl, name, cancellation).ConfigureAwait(false);
            if ((status["conditions"] as JsonArray ?? []).OfType<JsonObject>().Any(condition =>
                condition["type"]?.ToString() is "Complete" or "Failed" && condition["status"]?.ToString() == "True"))
            {
                return;
            }

            await Task.Delay(_betweenLooks, cancellation).ConfigureAwait(false);
        }
    }

    public override string? LeftRunning(CampaignPlan plan) =>
        $"job {JobName(plan)} goes on, if it was made; the same command waits for it again";

    /// <summary>The name that the cluster knows: of the folder's own, so that two campaigns do not meet.</summary>
    private static string JobName(CampaignPlan plan)
    {
        uint hash = 2166136261;
        foreach (char letter in plan.Folder + string.Join('\0', plan.Arguments))
        {
            hash = unchecked((hash ^ letter) * 16777619);
        }

        return string.Create(CultureInfo.InvariantCulture, $"{plan.Name}-{hash:x8}");
    }

    /// <summary>Writes the documents of the pods that have ended.</summary>
    private static async Task FetchAsync(
        CampaignPlan plan, string kubectl, string name, CancellationToken cancellation)
    {
        JsonNode? pods = await AskAsync(
            kubectl, ["get", "pods", "-l", "job-name=" + name, "-o", "json"], cancellation).ConfigureAwait(false);
        foreach (JsonNode pod in (pods?["items"] as JsonArray ?? []).OfType<JsonNode>())
        {
            if (pod["status"]?["phase"]?.ToString() is not ("Succeeded" or "Failed")
                || !int.TryParse(
                    pod["metadata"]?["annotations"]?[Index]?.ToString(), NumberStyles.None,
                    CultureInfo.InvariantCulture, out int shard)
                || shard >= plan.Shards || plan.IsDone(shard))
            {
                continue;
            }

            string log = await Programs.OutputAsync(
                kubectl, ["logs", pod["metadata"]!["name"]!.ToString()], cancellation).ConfigureAwait(false);

            // stderr is in the log, too.
            int start = log.IndexOf('{', StringComparison.Ordinal);
            int end = log.LastIndexOf('}') + 1;
            if (start < 0 || end <= start)
            {
                await File.WriteAllTextAsync(plan.Log(shard), log, cancellation).ConfigureAwait(false);
                continue;
            }

            await File.WriteAllTextAsync(plan.Document(shard), log[start..end], cancellation).ConfigureAwait(false);
        }
    }

    private static async Task<JsonNode?> AskAsync(
        string kubectl, IReadOnlyList<string> words, CancellationToken cancellation)
    {
        string output = await Programs.OutputAsync(kubectl, words, cancellation).ConfigureAwait(false);
        try
        {
            return output.Length == 0 ? null : JsonNode.Parse(output);
        }
        catch (JsonException)
        {
            throw new CliException(ExitCode.Failed, "kubectl answered something that is no JSON",
                "try kubectl by hand");
        }
    }
}
