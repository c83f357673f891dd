using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>A VM's memory is set aside when it is made, so that no other VM can have it stopped.</summary>
public sealed class ReservationTests
{
    [Fact]
    public async Task Of_two_VMs_that_do_not_fit_together_the_second_is_refused_and_the_first_has_all_of_its_memory()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 4, memory: 256 * ByteSize.Megabyte);
        TestVm first = await machine.CreateAsync("fill=all touch=page then=spin", 160 * ByteSize.Megabyte);
        KeyValueLine memory = await machine.AskAsync("memory");
        long available = memory.Number("available_bytes");
        available.ShouldBeLessThan(memory.Number("free_bytes"));
        MonitorException refused = await Should.ThrowAsync<MonitorException>(
            () => machine.CreateAsync("fill=all", 160 * ByteSize.Megabyte));
        refused.Code.ShouldBe("out-of-memory");
        refused.Message.ShouldContain("162M");
        refused.Message.ShouldContain($"{available >> 20}M");

        // One that sets nothing aside is made, takes what is left, and pays for that with its own life only.
        TestVm greedy = await machine.RunAsync(
            "fill=all touch=page then=spin", 160 * ByteSize.Megabyte, overcommit: true);
        (await greedy.StoppedAsync()).ShouldBe("the machine ran out of memory for this VM");
        greedy = await machine.CreateAsync("fill=8M then=spin", 160 * ByteSize.Megabyte, overcommit: true);
        await greedy.StartAsync();
        await greedy.DirtiedAsync();
        await first.StartAsync();
        (await first.DirtiedAsync()).ShouldBeGreaterThan(150 * ByteSize.Megabyte);

        // What comes back from the first is available again, what the second has is not.
        await first.KillAsync();
        await greedy.KillAsync();
        await machine.ShouldBeUnharmedAsync();
        TestVm whole = await machine.CreateAsync(
            "fill=1M", (await machine.AskAsync("memory")).Number("available_bytes") - (2 * ByteSize.Megabyte));
        await machine.ShouldRefuseAsync("create guest=filler memory=16M pages=4k policy=fate", "out-of-memory");
        await machine.ShouldRefuseAsync(
            "create guest=filler memory=16M pages=4k policy=fate overcommit=maybe", "bad-argument");
        await machine.ShouldRefuseAsync(
            "create guest=filler memory=64G pages=4k policy=fate overcommit=yes", "out-of-memory");
        await whole.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("4k")]
    [InlineData("2m")]
    [InlineData("auto")]
    public async Task A_VM_of_all_memory_fills_it_on_all_of_its_vCPUs_while_idle_cores_scrub(string pages)
    {
        // Not a chunk is to spare but those that its tables may take: the last of them are being scrubbed when they are
        // asked for, and blocks are asked for by two vCPUs at once.
        await using TestMachine machine = await TestMachine.BootAsync(cores: 5, memory: 96 * ByteSize.Megabyte);
        for (int life = 0; life < 6; life++)
        {
            long all = (await machine.AskAsync("memory")).Number("available_bytes") - (2 * ByteSize.Megabyte);
            TestVm vm = await machine.RunAsync("fill=all touch=page cpus=all then=off", all, cpus: 3, pages: pages);
            (await vm.StoppedWellAsync()).ShouldBe("guest power-off");
            await machine.ShouldBeUnharmedAsync();
        }
    }

    [Fact]
    public async Task Chunks_that_VMs_take_while_the_pool_is_walked_are_not_misplaced()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 4, memory: 768 * ByteSize.Megabyte);
        await machine.AskAsync("scrub");
        for (int life = 0; life < 3; life++)
        {
            TestVm vm = await machine.RunAsync(
                "fill=all touch=page cpus=all then=off", 512 * ByteSize.Megabyte, cpus: 3, pages: "2m");
            for (int i = 0; i < 40; i++)
            {
                (await machine.AskAsync("memory")).Number("misplaced_chunks").ShouldBe(0);
            }

            (await vm.StoppedWellAsync()).ShouldBe("guest power-off");
        }

        await machine.ShouldBeUnharmedAsync();
    }
}
