using System;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
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
    private const int Vcpus = 4;

    /// <summary>From the order until all memory is back (docs/security.md).</summary>
    private const long Bound = 2_000 + (2_500 * Vcpus);

    [Theory]
    [InlineData("fill=all touch=page cpus=all", "2m")] // blocks are being filled by all vCPUs
    [InlineData("fill=all touch=page cpus=all", "4k")] // pages are
    [InlineData("fill=1M cpus=all then=hvc", "4k")]
    [InlineData("fill=1M cpus=all then=sgi", "4k")]
    [InlineData("fill=1M cpus=all then=uart", "4k")]
    [InlineData("fill=1M cpus=all then=gic", "4k")]
    [InlineData("fill=1M cpus=all then=psci", "4k")]
    [InlineData("fill=1M cpus=all then=virtio", "4k")]
    [InlineData("fill=1M cpus=all then=virtio", "4k", true)] // two of the vCPUs have the disk read
    public async Task A_kill_is_over_within_its_bound_whatever_hostile_vCPUs_do(
        string life, string pages, bool hasDisk = false)
    {
        const int Moments = 12;
        const long Memory = 64 * ByteSize.Megabyte;
        using var folder = new RunFolder();
        await using TestMachine machine = await TestMachine.BootAsync(
            cores: Vcpus + 1, memory: 128 * ByteSize.Megabyte, counts: true,
            linux: hasDisk ? DiskGuest.Make(folder) : null);

        // Once beyond its fill, so that all memory is dirty and the time is known at which it is in the middle of it.
        bool fills = !life.Contains("then=", StringComparison.Ordinal);
        bool hasAll = !hasDisk && life.Contains("then=virtio", StringComparison.Ordinal);
        string devices = hasAll ? TestMachine.AllDevices : string.Empty;
        string guest = hasDisk ? GuestPayload.Linux : GuestPayload.Filler;
        TestVm first = await machine.CreateAsync(life, Memory, Vcpus, pages, guest: guest, devices: devices);
        KeyValueLine death = await machine.AskAsync(
            $"start vm={first.Number} for={(fills ? 200_000_000 : 60_000_000)}");
        long entered = death.Number("first_entry_virtual_ns");
        long filled = death.Number("fill_virtual_ns");

        // In a storm vCPU 0 may be late, or never come to it: QEMU lets one vCPU run for long under icount.
        (entered > 0 && (filled > 0 || !fills)).ShouldBeTrue(death.Text);
        long begin = entered + (fills ? filled / 4 : 20_000_000);
        long step = fills ? filled / 2 / Moments : 4_999;

        long[] costs = new long[Moments];
        for (int i = 0; i < Moments; i++)
        {
            TestVm vm = await machine.CreateAsync(life, Memory, Vcpus, pages, guest: guest, devices: devices);
            DeathFigures figures = (await vm.LiveForAsync(begin + (i * step))).ShouldNotBeNull();
            costs[i] = figures.Instructions;
        }

        output.WriteLine($"{life}, {pages}, {guest}: {string.Join(' ', costs.Order())}");
        costs.Max().ShouldBeLessThanOrEqualTo(Bound);
        await machine.ShouldBeUnharmedAsync();
    }
}
