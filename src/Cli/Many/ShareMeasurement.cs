using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.Births;

namespace Quietus.Cli.Many;

/// <summary>
/// What busy VMs get of three cores, by the work that their guests count over a second; and how soon one that sleeps
/// runs beside them.
/// </summary>
internal sealed class ShareMeasurement(BirthsBoot boot, Action<string> progress)
{
    private const int Busy = 8;
    private const double MostError = 3;
    private const double MostWake = 1_000_000;
    private const double MostTimer = 200_000;

    // The filler's reports (docs/filler.md).
    private const ulong TimerLateness = 15;
    private const ulong TimerLatest = 16;
    private const ulong WakeLateness = 18;
    private const ulong WakeLatest = 19;
    private const ulong WorkDone = 22;

    public async Task<IReadOnlyList<ManyFigure>> RunAsync()
    {
        progress("8 busy VMs of one weight on 3 cores");
        List<long> busy = [];
        double equal = await ErrorAsync(busy).ConfigureAwait(false);

        progress("a VM that sleeps and is woken, beside them");
        (long sleeper, _) = await boot.StartBesideAsync(Order(2, "fill=0 cpus=all then=naps")).ConfigureAwait(false);
        ulong timer = await boot.ReportAsync(sleeper, TimerLateness).ConfigureAwait(false);
        ulong timerLatest = await boot.ReportAsync(sleeper, TimerLatest).ConfigureAwait(false);
        ulong wake = await boot.ReportAsync(sleeper, WakeLateness).ConfigureAwait(false);
        ulong wakeLatest = await boot.ReportAsync(sleeper, WakeLatest).ConfigureAwait(false);
        await boot.OrderAsync("kill", sleeper).ConfigureAwait(false);
        await EndAsync(busy).ConfigureAwait(false);
        return
        [
            new("share_error_percent", "8 busy vCPUs on 3 cores, farthest from its share: %", equal, "N2", MostError),
            new("wake_p99_ns", "a blocked vCPU that is woken beside them, 99 %: ns", wake, "N0", MostWake),
            new("wake_max_ns", "… the slowest of 500: ns", wakeLatest, "N0"),
            new("timer_p99_ns", "a guest's timer beside them, late by, 99 %: ns", timer, "N0", MostTimer),
            new("timer_max_ns", "… the latest of 500: ns", timerLatest, "N0"),
        ];
    }

    /// <summary>
    /// Starts the busy ones, lets each count its work when all are there, and leaves them running: how far one's work
    /// is from its share at most, in parts of a hundred of that.
    /// </summary>
    private async Task<double> ErrorAsync(List<long> busy)
    {
        List<int> slots = [];
        for (int i = 0; i < Busy; i++)
        {
            (long vm, int slot) = await boot.StartBesideAsync(Order(1, "fill=0 then=share")).ConfigureAwait(false);
            busy.Add(vm);
            slots.Add(slot);
        }

        foreach (int slot in slots)
        {
            await boot.TypeAsync(slot, "\n").ConfigureAwait(false);
        }

        List<double> work = [];
        foreach (long vm in busy)
        {
            work.Add(await boot.ReportAsync(vm, WorkDone).ConfigureAwait(false));
        }

        double share = work.Sum() / Busy;
        return work.Max(done => Math.Abs(done - share) / share) * 100;
    }

    private async Task EndAsync(List<long> vms)
    {
        foreach (long vm in vms)
        {
            await boot.OrderAsync("kill", vm).ConfigureAwait(false);
        }

        vms.Clear();
    }

    private static string Order(int cpus, string append) => string.Create(
        CultureInfo.InvariantCulture,
        $"create guest=filler memory=16M cpus={cpus} pages=4k policy=fate append=\"{append}\"");
}
