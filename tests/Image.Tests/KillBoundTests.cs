using System;
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
/// What a kill costs at most, whatever the guest does at that moment on all of its vCPUs. Under icount the moments can
/// be had again, and the figure is the whole machine's: what the vCPUs' cores do until they have stopped is in it.
/// </summary>
public sealed class KillBoundTests(ITestOutputHelper output)
{
    /// <summary>From the order until all memory is back (docs/security.md).</summary>
    private const long Bound = 12_000;

    [Theory]
    [InlineData("fill=all touch=page cpus=all", "2m")] // blocks are being filled by all vCPUs
    [InlineData("fill=all touch=page cpus=all", "4k")] // pages are
    [InlineData("fill=1M cpus=all then=hvc", "4k")]
    [InlineData("fill=1M cpus=all then=sgi", "4k")]
    [InlineData("fill=1M cpus=all then=uart", "4k")]
    [InlineData("fill=1M cpus=all then=gic", "4k")]
    [InlineData("fill=1M cpus=all then=psci", "4k")]
    public async Task A_kill_is_over_within_its_bound_whatever_four_hostile_vCPUs_do(string life, string pages)
    {
        const int Vcpus = 4;
        const int Moments = 16;
        const long Memory = 64 * ByteSize.Megabyte;
        await using TestMachine machine = await TestMachine.BootAsync(
            cores: Vcpus + 1, memory: 128 * ByteSize.Megabyte, counts: true);

        // Once to its end, so that all memory is dirty and the time is known at which it is in the middle of it.
        TestVm first = await machine.RunAsync(life, Memory, cpus: Vcpus, pages: pages);
        await first.DirtiedAsync();
        KeyValueLine death = await machine.AskAsync($"kill vm={first.Number}");
        long entered = death.Number("first_entry_virtual_ns");
        long filled = death.Number("fill_virtual_ns");
        bool fills = !life.Contains("then=", StringComparison.Ordinal);
        long begin = fills ? entered + (filled / 4) : entered + filled + 200_000;
        long step = fills ? filled / 2 / Moments : 4_999;

        long[] costs = new long[Moments];
        for (int i = 0; i < Moments; i++)
        {
            TestVm vm = await machine.CreateAsync(life, Memory, cpus: Vcpus, pages: pages);
            DeathFigures figures = (await vm.LiveForAsync(begin + (i * step))).ShouldNotBeNull();
            costs[i] = figures.Instructions;
        }

        output.WriteLine($"{life}, {pages}: {string.Join(' ', costs.Order())}");
        costs.Max().ShouldBeLessThanOrEqualTo(Bound);
        await machine.ShouldBeUnharmedAsync();
    }
}
