using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// A VM that shares its core is killed at moments that can be had again (see <see cref="SteppedKillTests"/>): while it
/// waits for the core, is being loaded, runs, is being saved, and is blocked.
/// </summary>
public sealed class TurnKillTests(ITestOutputHelper output)
{
    private const long Size = 16 * ByteSize.Megabyte;
    private const long Tick = 16;

    /// <summary>What each stop took: it tells where the vCPUs were.</summary>
    private readonly HashSet<long> _places = [];

    /// <summary>A round of the usual weight.</summary>
    internal const long Slice = 1_000_000;

    /// <summary>One of the least weight: it is the worker's, whose slices have QEMU hear orders soon.</summary>
    private const long ShortSlice = Slice / 10;

    [Fact]
    public async Task Killed_at_each_step_of_its_turns_a_VM_leaves_nothing()
    {
        await using TestMachine machine = await TestMachine.BootAsync(
            cores: 2, memory: 64 * ByteSize.Megabyte, counts: true);
        TestVm worker = await machine.AdoptAsync(
            "create guest=filler memory=16M pages=4k policy=fate weight=10 cores=1 append=then=work");
        await worker.StartAsync();
        await worker.WorkedAsync(1);
        KeyValueLine before = await machine.AskAsync("memory");

        // From the order on: the worker makes room, the VM is loaded and runs.
        await KilledAsync(machine, "then=spin", 1, Moments(0, 20, 19));

        // Its round is over: it is saved, waits, and is loaded again when the worker's is.
        await KilledAsync(machine, "then=spin", 1, Moments(Slice + 1000, 12, 23));
        await KilledAsync(machine, "then=spin", 1, Moments(Slice + ShortSlice + 2000, 12, 23));

        // It blocks and is woken all the time, one vCPU beside the other.
        await KilledAsync(machine, "cpus=all then=alarms", 2, Moments(200_000, 16, 41));

        // The orders have found it in different places. Nothing is lost, and the core goes on.
        _places.Count.ShouldBeGreaterThan(12);
        KeyValueLine after = await machine.AskAsync("memory");
        after.Number("chunks_free").ShouldBe(before.Number("chunks_free"));
        int reports = (await worker.WorkedAsync(1)).Count;
        await worker.WorkedAsync(reports + 1);
        await worker.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>So many moments, in nanoseconds, and so many ticks of QEMU's system counter apart.</summary>
    internal static IEnumerable<long> Moments(long first, int count, int ticks) =>
        Enumerable.Range(0, count).Select(i => first + (i * ticks * Tick));

    private async Task KilledAsync(TestMachine machine, string append, int cpus, IEnumerable<long> moments)
    {
        foreach (long moment in moments)
        {
            TestVm vm = await machine.CreateAsync(append, Size, cpus, devices: "cores=1");
            DeathFigures death = (await vm.LiveForAsync(moment)).ShouldNotBeNull();
            _places.Add(death.StopInstructions);
            await machine.ShouldRefuseAsync($"kill vm={vm.Number}", "no-such-vm");
        }

        output.WriteLine($"{append}: so far found in {_places.Count} places");
    }
}
