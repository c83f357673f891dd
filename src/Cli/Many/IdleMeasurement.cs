using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.Monitoring;

namespace Quietus.Cli.Many;

/// <summary>
/// What the hypervisor executes for VMs that have nothing to do: all of them on one core, and not the monitor's, since
/// QEMU's count at EL2 is exact only there. With more, those that wait in EL2 for their turn count the others, too.
/// </summary>
internal sealed class IdleMeasurement(ManyPlan plan, BirthsBoot boot, Action<string> progress)
{
    private const double MostPercent = 2;
    private const long Second = 1_000_000_000;
    private const string Count = "el2_instructions";
    private const string Time = "virtual_ns";
    private static readonly TimeSpan _look = TimeSpan.FromMilliseconds(500);

    public async Task<IReadOnlyList<ManyFigure>> RunAsync()
    {
        var family = new Family(plan, boot, progress);
        await family.BootAsync(cores: "1").ConfigureAwait(false);
        await family.BearAsync().ConfigureAwait(false);
        progress("all are idle");

        // What the last births left to do, the order itself, and the pages that children copy as they settle.
        await boot.AskAsync("scrub").ConfigureAwait(false);
        KeyValueLine begin = await boot.AskAsync("machine").ConfigureAwait(false);
        begin = await AfterSecondAsync(begin).ConfigureAwait(false);
        if (begin.TryNumber(Count) is not long before)
        {
            return []; // this machine does not count it
        }

        KeyValueLine end = await AfterSecondAsync(begin).ConfigureAwait(false);
        long passed = end.Number(Time) - begin.Number(Time);
        long executed = end.Number(Count) - before;
        return
        [
            new("idle_core_percent", "what the hypervisor executes while all are idle: %", 100.0 * executed / passed,
                "N2", MostPercent * plan.Vms / ManyPlan.Promised),
        ];
    }

    /// <summary>What the machine says a second of its time, or more, after it said something.</summary>
    private async Task<KeyValueLine> AfterSecondAsync(KeyValueLine since)
    {
        KeyValueLine line;
        do
        {
            await Task.Delay(_look).ConfigureAwait(false);
            line = await boot.AskAsync("machine").ConfigureAwait(false);
        }
        while (line.Number(Time) - since.Number(Time) < Second);
        return line;
    }
}
