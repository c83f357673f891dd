using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.Guests;
using Quietus.Wire;

namespace Quietus.Cli.Many;

/// <summary>
/// A world switch, from the exit of one VM's vCPU to the entry of another's, by the clocks of two guests that share one
/// core: what a guest is away is the other's turn and two switches.
/// </summary>
internal sealed class SwitchMeasurement(BirthsBoot boot, Action<string> progress)
{
    private const double Most = 1200;
    private const string OneCore = "1";
    private const ulong Awake = 22;
    private const ulong OthersTurn = 25;
    private const ulong OwnTurn = 26;

    public async Task<IReadOnlyList<ManyFigure>> RunAsync()
    {
        string turns = ManyPlan.Filler("fill=0 then=turns", OneCore);
        string naps = ManyPlan.Filler("fill=0 then=naps", OneCore);
        progress("two VMs take turns on one core");
        (long first, _) = await boot.StartAsync(turns).ConfigureAwait(false);
        (long second, _) = await boot.StartBesideAsync(turns).ConfigureAwait(false);
        double away = await SumAsync(first, second, OthersTurn).ConfigureAwait(false);
        double own = await SumAsync(first, second, OwnTurn).ConfigureAwait(false);
        await boot.OrderAsync(DeathWay.Kill.Name(), second).ConfigureAwait(false);
        await boot.OrderAsync(DeathWay.Kill.Name(), first).ConfigureAwait(false);

        progress("one VM sleeps and is woken, beside one that is busy");
        (first, _) = await boot.StartAsync(turns).ConfigureAwait(false);
        (second, _) = await boot.StartBesideAsync(naps).ConfigureAwait(false);
        double awayOnce = await ThousandthsAsync(first, OthersTurn).ConfigureAwait(false);
        double awake = await ThousandthsAsync(second, Awake).ConfigureAwait(false);
        await boot.OrderAsync(DeathWay.Kill.Name(), second).ConfigureAwait(false);
        await boot.OrderAsync(DeathWay.Kill.Name(), first).ConfigureAwait(false);
        return
        [
            new(
                "switch_instructions", "world switch at the end of a slice: instructions", (away - own) / 4, "N0",
                Most),
            new("wake_and_block_instructions", "… to a woken VM, and back as it blocks: instructions",
                awayOnce - awake, "N0", 2 * Most),
        ];
    }

    private async Task<double> SumAsync(long first, long second, ulong kind) =>
        await ThousandthsAsync(first, kind).ConfigureAwait(false)
            + await ThousandthsAsync(second, kind).ConfigureAwait(false);

    private async Task<double> ThousandthsAsync(long vm, ulong kind) =>
        await boot.ReportAsync(vm, kind).ConfigureAwait(false) / 1000.0;
}
