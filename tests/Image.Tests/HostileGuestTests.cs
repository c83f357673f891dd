using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// Guests that do what no guest should (docs/filler.md): each gets the architecture's answer, and the hypervisor goes
/// on.
/// </summary>
public sealed class HostileGuestTests
{
    private static readonly string[] _tests =
    [
        "badhvc", "psci", "smc", "mmio", "outside", "idregs", "zero", "sgi", "setway", "wfx", "selfmod", "uncached",
        "timers", "virtio",
    ];

    public static TheoryData<string, string> Tests()
    {
        var data = new TheoryData<string, string>();
        foreach (string cpu in (string[])["cortex-a72", "max"])
        {
            foreach (string test in _tests)
            {
                data.Add(cpu, test);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Tests))]
    public async Task A_guest_that_misbehaves_gets_the_architectures_answer(string cpu, string test)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 3);
        bool isVirtio = test == "virtio";
        TestVm vm = await machine.RunAsync(
            $"test={test} then=off", cpus: 2, devices: isVirtio ? TestMachine.AllDevices : string.Empty);
        (await vm.PassedAsync()).ShouldBeGreaterThan(0);
        (await vm.StoppedWellAsync()).ShouldBe("guest power-off");

        vm.Broken.Keys.Order().ShouldBe(isVirtio ? ["console", "net", "rng", "vsock"] : []);
        vm.Broken.Values.ShouldAllBe(reason => reason.Length > 10 && reason != "nothing is wrong");

        TestVm next = await machine.RunAsync("fill=32M check=zero cpus=all", cpus: 2);
        (await next.DirtiedAsync()).ShouldBe(32 * ByteSize.Megabyte);
        await next.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// A disk is lied to, and reset by another core in the middle of it; its VM's sibling finds its own as the template
    /// left it, and a stranger's memory stays what it is.
    /// </summary>
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_guest_that_lies_to_its_disk_breaks_it_and_changes_no_sibling(string cpu)
    {
        using var folder = new RunFolder();
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 4, linux: DiskGuest.Make(folder));
        TestVm witness = await machine.RunAsync("fill=16M check=zero then=witness");
        await witness.WitnessedAsync();
        TestVm template = await machine.RunAsync(
            "freeze=yes test=virtio then=off", cpus: 2, guest: GuestPayload.Linux);
        await template.FrozenAsync();
        foreach (TestVm child in (TestVm[])
            [(await machine.ForkAsync(template))[0], (await machine.ForkAsync(template))[0]])
        {
            (await child.PassedAsync()).ShouldBeGreaterThan(0);
            (await child.StoppedWellAsync()).ShouldBe("guest power-off");
            child.Broken["disk"].Length.ShouldBeGreaterThan(10);
            child.Broken["disk"].ShouldNotBe("nothing is wrong");
        }

        await witness.WitnessedAsync();
        await witness.KillAsync();
        await template.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_guest_that_enters_AArch32_is_refused_or_stopped(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 3);
        TestVm vm = await machine.RunAsync("test=aarch32 then=off", cpus: 2);
        (await vm.StoppedWellAsync()).ShouldBeOneOf(
            "guest power-off", "the guest entered AArch32 state, which it was told not to have");
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// An exit saves two vector registers only: the guest's others stay in the core. A child's are its template's, and
    /// whatever a VM leaves in a core, the next one begins with zeroes.
    /// </summary>
    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_guest_keeps_its_vector_registers_and_begins_with_no_other_VMs(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 3, counts: true);
        for (int i = 0; i < 3; i++)
        {
            TestVm vm = await machine.RunAsync("fill=1M touch=page cpus=all test=vectors", cpus: 2);
            await vm.PassedAsync();
            await vm.KillAsync();
        }

        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// QEMU 7.2 went round for ever in its main loop when the virtual timer's deadline and CNTVOFF_EL2 wrapped.
    /// </summary>
    [Fact]
    public async Task A_guest_that_parks_its_timers_does_not_silence_the_monitor()
    {
        await using TestMachine machine = await TestMachine.BootAsync("cortex-a72", cores: 2);
        TestVm vm = await machine.RunAsync("test=timers then=wait");
        await vm.PassedAsync();
        (await machine.AskAsync("list")).Number("count").ShouldBe(1);
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_guest_that_prints_garbage_cannot_pass_for_the_monitor(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, cores: 3);
        TestVm vm = await machine.RunAsync("fill=4M then=garbage");
        await vm.DirtiedAsync();
        long most = 0;
        for (int i = 0; i < 20; i++)
        {
            await vm.PrintedAsync(most + 4000);
            most = vm.ConsoleBytes;
            (await machine.AskAsync("version")).Number("protocol").ShouldBe(2);
            (await machine.AskAsync("list")).Number("count").ShouldBe(1);
        }

        TestVm other = await machine.RunAsync("fill=16M check=zero then=off");
        (await other.StoppedWellAsync()).ShouldBe("guest power-off");
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }
}
