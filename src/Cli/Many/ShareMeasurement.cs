using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.Guests;
using Quietus.Wire;

namespace Quietus.Cli.Many;

/// <summary>
/// What busy VMs get of three cores, by the work that their guests count over a second; and how soon one that sleeps
/// runs beside them.
/// </summary>
internal sealed class ShareMeasurement(BirthsBoot boot, Action<string> progress)
{
    /// <summary>Without core 0, where the monitor's work would be in the way of what is measured.</summary>
    private const string ThreeCores = "1-3";
    private const double MostError = 3;
    private const double MostWake = 1_000_000;
    private const double MostTimer = 200_000;

    // The filler's reports (docs/filler.md).
    private const ulong TimerLateness = 20;
    private const ulong TimerLatest = 21;
    private const ulong WakeLateness = 23;
    private const ulong WakeLatest = 24;
    private const ulong Worked = 15;

    /// <summary>A guest reports every 100 ms of its time what it has done since its start.</summary>
    private const int ReportsOfASecond = 10;

    private static readonly int[] _equal = [100, 100, 100, 100, 100, 100, 100, 100];
    private static readonly int[] _weighted = [50, 50, 50, 100, 100, 100, 200, 200];

    public async Task<IReadOnlyList<ManyFigure>> RunAsync()
    {
        progress("8 busy VMs on 3 cores, weights 1, 2 and 4");
        List<long> busy = [];
        double weighted = await ErrorAsync(busy, _weighted).ConfigureAwait(false);
        await EndAsync(busy).ConfigureAwait(false);

        progress("8 busy VMs on 3 cores");
        double equal = await ErrorAsync(busy, _equal).ConfigureAwait(false);

        progress("a VM that sleeps and is woken, beside them");
        string naps = ManyPlan.Filler("fill=0 cpus=all then=naps", ThreeCores, cpus: 2);
        (long sleeper, _) = await boot.StartBesideAsync(naps).ConfigureAwait(false);
        ulong timer = await boot.ReportAsync(sleeper, TimerLateness).ConfigureAwait(false);
        ulong timerLatest = await boot.ReportAsync(sleeper, TimerLatest).ConfigureAwait(false);
        ulong wake = await boot.ReportAsync(sleeper, WakeLateness).ConfigureAwait(false);
        ulong wakeLatest = await boot.ReportAsync(sleeper, WakeLatest).ConfigureAwait(false);
        await boot.OrderAsync(DeathWay.Kill.Name(), sleeper).ConfigureAwait(false);
        await EndAsync(busy).ConfigureAwait(false);
        return
        [
            new("share_error_percent", "8 busy vCPUs on 3 cores, farthest from its share: %", equal, "N2", MostError),
            new("weighted_share_error_percent", "… of weights 1, 2 and 4: %", weighted, "N2", MostError),
            new("wake_p99_ns", "a blocked vCPU that is woken beside them, 99 %: ns", wake, "N0", MostWake),
            new("wake_max_ns", "… the slowest of 500: ns", wakeLatest, "N0"),
            new("timer_p99_ns", "a guest's timer beside them, late by, 99 %: ns", timer, "N0", MostTimer),
            new("timer_max_ns", "… the latest of 500: ns", timerLatest, "N0"),
        ];
    }

    /// <summary>
    /// Starts one VM of each weight, and leaves them running: how far the work of one, over a second of its time when
    /// all are there, is from its share at most, in parts of a hundred of that.
    /// </summary>
    private async Task<double> ErrorAsync(List<long> busy, int[] weights)
    {
        foreach (int weight in weights)
        {
            string order = ManyPlan.Filler("fill=0 then=work", ThreeCores, weight: weight);
            busy.Add((await boot.StartBesideAsync(order).ConfigureAwait(false)).Vm);
        }

        // Each has made a report since the last one was started, and another one that covers that time.
        Dictionary<long, int> first = [];
        foreach (long vm in busy)
        {
            first[vm] = (await boot.ReportsAsync(vm, Worked, 1).ConfigureAwait(false)).Count;
        }

        List<double> work = [];
        foreach (long vm in busy)
        {
            int last = first[vm] + ReportsOfASecond;
            IReadOnlyList<ulong> done = await boot.ReportsAsync(vm, Worked, last + 1).ConfigureAwait(false);
            work.Add(done[last] - done[last - ReportsOfASecond]);
        }

        double unit = work.Sum() / weights.Sum();
        return work.Zip(weights).Max(pair => Math.Abs(pair.First - (pair.Second * unit)) / (pair.Second * unit)) * 100;
    }

    private async Task EndAsync(List<long> vms)
    {
        foreach (long vm in vms)
        {
            await boot.OrderAsync(DeathWay.Kill.Name(), vm).ConfigureAwait(false);
        }

        vms.Clear();
    }
}
