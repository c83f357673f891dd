using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Errors;
using Quietus.Cli.Terminals;
using Quietus.Oracle.Search;
using Policies = Quietus.Cli.Guests.MaintenancePolicy;

namespace Quietus.Cli.Verbs;

// --exhaustive: every program within bounds, policy by policy.
internal static partial class CheckVerb
{
    private const int DefaultDepth = 5;

    private static readonly Option<string?> _exhaustive = new("--exhaustive")
    {
        Description = "Every program within bounds, such as pes=2,vms=2,pages=2,steps=5, instead of random ones",
        HelpName = "bounds",
    };

    private static ExhaustiveBounds ReadBounds(string text)
    {
        var bounds = new ExhaustiveBounds(2, 2, 2, DefaultDepth);
        foreach (string item in text.Split(','))
        {
            string[] parts = item.Split('=', 2);
            string value = parts.Length == 2 ? parts[1] : string.Empty;
            bounds = parts[0] switch
            {
                "pes" => bounds with { Pes = Read(value, "--exhaustive pes=", 4) },
                "vms" => bounds with { Vms = Read(value, "--exhaustive vms=", 3) },
                "pages" => bounds with { Pages = Read(value, "--exhaustive pages=", 4) },
                "steps" => bounds with { Steps = Read(value, "--exhaustive steps=", 12) },
                _ => throw CliException.Usage(
                    $"--exhaustive takes no '{Printable.Line(item)}'",
                    "it takes bounds as in pes=2,vms=2,pages=2,steps=5"),
            };
        }

        return bounds;
    }

    private static async Task<int> RunExhaustiveAsync(
        ExhaustiveBounds bounds, IReadOnlyList<Policies> policies, int jobs, int? seconds,
        CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (seconds is int most)
        {
            stop.CancelAfter(TimeSpan.FromSeconds(most));
        }

        string line = string.Create(
            CultureInfo.InvariantCulture,
            $"pes={bounds.Pes},vms={bounds.Vms},pages={bounds.Pages},steps={bounds.Steps}");
        bool hasFound = false;
        foreach (Policies policy in policies)
        {
            var search = new ExhaustiveSearch(Subject.Engine, ToEngine(policy), bounds);
            var watch = Stopwatch.StartNew();
            Task<ExhaustiveCoverage> running = Task.Run(() => search.Run(jobs, stop.Token), CancellationToken.None);
            while (await Task.WhenAny(running, Task.Delay(1000, CancellationToken.None)).ConfigureAwait(false)
                != running)
            {
                if (!Console.IsErrorRedirected)
                {
                    await Console.Error.WriteAsync(
                        $"\r{policy.Name}: {Count(search.States)} states, {Count(search.Transitions)} transitions ")
                        .ConfigureAwait(false);
                }
            }

            ExhaustiveCoverage coverage = await running.ConfigureAwait(false);
            if (!Console.IsErrorRedirected)
            {
                await Console.Error.WriteAsync("\r" + new string(' ', 60) + "\r").ConfigureAwait(false);
            }

            foreach (Finding finding in coverage.Findings)
            {
                Tell(finding, $"./quietus check --exhaustive {line} --policies {policy.Name}");
            }

            hasFound |= coverage.Findings.Count != 0;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{policy.Name}: {Count(coverage.States)} distinct states, {Count(coverage.Transitions)} transitions, "
                + $"all programs of {coverage.Depth} of {bounds.Steps} steps, {coverage.Findings.Count} violations"));
            Console.Error.WriteLine(
                $"quietus: {watch.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s "
                + $"on {jobs} threads");
            if (stop.IsCancellationRequested)
            {
                break;
            }
        }

        return hasFound ? ExitCode.Failed
            : cancellation.IsCancellationRequested ? ExitCode.Interrupted
            : stop.IsCancellationRequested ? ExitCode.TimeLimit
            : ExitCode.Ok;
    }
}
