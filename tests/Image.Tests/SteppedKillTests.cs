using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
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
/// VMs that are killed at moments that can be had again: under icount a virtual nanosecond is an instruction of the
/// machine, and the monitor kills so many of them after the start (16 are one tick of the counter). The machine is so
/// small that the next guest has all of its memory, the dead VM's among it: it reads every byte before it writes any.
/// </summary>
public sealed class SteppedKillTests(ITestOutputHelper output)
{
    private const long Machine = 24 * ByteSize.Megabyte;
    private const long Victim = 16 * ByteSize.Megabyte;
    private const int Tick = 16;

    /// <summary>
    /// It sleeps when it has done that: a guest that spins makes QEMU slow to hear an order under icount.
    /// </summary>
    private const string Fill = "fill=8M touch=page";

    /// <summary>Those that invalidate the VMID as a whole: QEMU takes a millisecond for a leaf's own.</summary>
    private static readonly string[] _policies = ["fate", "series", "fate", "tables-only", "fate", "patch5"];

    [Theory]
    [InlineData("cortex-a72", "4k")]
    [InlineData("cortex-a72", "2m")]
    [InlineData("max", "4k")]
    public async Task Killed_at_each_step_of_its_birth_and_of_its_faults_a_VM_leaves_nothing(string cpu, string pages)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, memory: Machine, counts: true);
        await SearchAsync(machine, "4k");
        (long entered, long filled) = await TimesAsync(machine, pages);

        // From the order through the vCPU's load to the guest's first instructions; then two faults from end to end.
        const int Birth = 24;
        const int Faults = 40;
        // Half of the way to the report, less what the guest prints before that.
        long middle = entered + ((filled - entered) * 2 / 5);
        long step = pages == "4k" ? 3 * Tick : 401 * Tick;
        long[] moments =
        [
            .. Enumerable.Range(0, Birth).Select(i => i * (entered + 1000) / Birth),
            .. Enumerable.Range(0, Faults).Select(i => middle + (i * step)),
        ];
        var ends = new HashSet<long>();
        var mapped = new List<long>();
        for (int i = 0; i < moments.Length; i++)
        {
            TestVm vm = await machine.CreateAsync(Fill, Victim, pages: pages, policy: _policies[i % _policies.Length]);
            DeathFigures death = (await vm.LiveForAsync(moments[i])).ShouldNotBeNull();
            ends.Add(death.StopInstructions);
            mapped.Add(death.Entries);
            await LeavesNothingAsync(machine, vm, i);
        }

        // The orders have found the vCPU in different places, and in the second part in two faults to five.
        output.WriteLine($"{ends.Count} places, {string.Join(' ', mapped.Distinct())} mapped");
        ends.Count.ShouldBeGreaterThan(20);
        mapped[0].ShouldBe(mapped[1]);
        mapped[Birth..].Order().ShouldBe(mapped[Birth..]);
        (mapped[^1] - mapped[Birth]).ShouldBeInRange(2, 5);
    }

    [Fact]
    public async Task A_VM_that_was_only_made_or_has_lost_its_memory_leaves_nothing()
    {
        await using TestMachine machine = await TestMachine.BootAsync(memory: Machine, counts: true);
        await SearchAsync(machine, "4k");
        int number = 0;
        foreach (string pages in PageSize.All)
        {
            foreach (MaintenancePolicy policy in MaintenancePolicy.All)
            {
                TestVm made = await machine.CreateAsync(Fill, Victim, pages: pages, policy: policy.Name);
                await made.KillAsync();
                await LeavesNothingAsync(machine, made, number++);
            }

            // An invalidation that has begun and does not end: the vCPU's first fetch waits for it, and is killed
            // there.
            foreach (string fate in (string[])["freed", "unknown"])
            {
                TestVm waits = await machine.CreateAsync(Fill, Victim, pages: pages);
                (await waits.UnmapAsync(fate)).Entries.ShouldBeGreaterThan(0);
                DeathFigures death = (await waits.LiveForAsync(2000 + (number * 5 * Tick))).ShouldNotBeNull();
                death.Entries.ShouldBe(0);
                await LeavesNothingAsync(machine, waits, number++);
            }
        }
    }

    [Fact]
    public async Task A_VM_that_is_killed_as_it_ends_by_itself_ends_once()
    {
        await using TestMachine machine = await TestMachine.BootAsync(memory: Machine, counts: true);
        await SearchAsync(machine, "4k");
        await EndsOnceAsync(machine, () => machine.CreateAsync("fill=1M touch=page then=off", Victim));
    }

    [Theory]
    [InlineData("4k")]
    [InlineData("2m")]
    public async Task A_VM_that_is_killed_as_it_runs_out_of_memory_ends_once(string pages)
    {
        // Nothing is set aside for it, and with tables it needs more than there is.
        await using TestMachine machine = await TestMachine.BootAsync(memory: Machine, counts: true);
        await SearchAsync(machine, pages);
        long all = (await machine.AskAsync("memory")).Number("free_bytes");
        string reason = await EndsOnceAsync(
            machine, () => machine.CreateAsync("fill=all touch=page", all, pages: pages, overcommit: true));
        reason.ShouldBe("the machine ran out of memory for this VM");
    }

    [Fact]
    public async Task A_VM_whose_memory_runs_out_while_it_is_made_leaves_nothing()
    {
        // A kernel that begins where memory does, and a RAM disk, fill all blocks of 16 MB. With the tables' that is
        // one chunk more than what the monitor looks for before it begins.
        const int Enough = (int)(Victim / (2 * ByteSize.Megabyte));
        string folder = Directory.CreateTempSubdirectory("quietus-").FullName;
        GuestPayload linux = MakeLinux(folder, 12 * ByteSize.Megabyte, 2 * ByteSize.Megabyte);
        await using TestMachine machine = await TestMachine.BootAsync(
            memory: 64 * ByteSize.Megabyte, counts: true, linux: linux);
        Directory.Delete(folder, recursive: true);
        await SearchAsync(machine, "4k");
        long pool = (await machine.AskAsync("memory")).Number("chunks_free");
        var made = new List<string>();
        for (int left = Enough - 2; left <= Enough + 2; left++)
        {
            long most = (pool - 1 - left) * 2 * ByteSize.Megabyte;
            TestVm hog = await machine.RunAsync("fill=all touch=page", most, pages: "2m", overcommit: true);
            await hog.PrintedAsync("done");
            foreach (string pages in PageSize.All)
            {
                try
                {
                    TestVm vm = await machine.CreateAsync(
                        Fill, Victim, pages: pages, guest: GuestPayload.Linux, overcommit: true);
                    made.Add($"{pages} in {left}");
                    await vm.KillAsync();
                }
                catch (MonitorException refused) when (refused.Code == "out-of-memory")
                {
                }

                KeyValueLine memory = await machine.AskAsync("memory");
                memory.Number("chunks_free").ShouldBe(left, memory.Text);
                (memory.Number("refused_frees"), memory.Number("misplaced_chunks")).ShouldBe((0, 0), memory.Text);
            }

            await hog.KillAsync();
            await machine.ShouldBeUnharmedAsync();
            await SearchAsync(machine, left % 2 == 0 ? "4k" : "2m");
        }

        output.WriteLine(string.Join(", ", made));
        made.ShouldContain($"4k in {Enough}");
        made.ShouldNotContain($"2m in {Enough}");
        made.ShouldContain($"2m in {Enough + 1}");
    }

    [Fact]
    public async Task A_VM_that_is_killed_while_idle_cores_scrub_leaves_nothing()
    {
        await using TestMachine machine = await TestMachine.BootAsync(cores: 4, memory: Machine, counts: true);
        (long entered, long filled) = await TimesAsync(machine, "4k");
        await machine.AskAsync("scrub when=idle");
        long before = (await machine.AskAsync("memory")).Number("scrubbed_chunks");
        const int Moments = 24;
        for (int i = 0; i < Moments; i++)
        {
            // All that the searching guest has left is dirty, and two cores are at it.
            TestVm vm = await machine.CreateAsync(
                Fill + " cpus=all", Victim, cpus: 2, pages: PageSize.All[i % PageSize.All.Length]);
            (await vm.LiveForAsync(i * (entered + filled) / Moments)).ShouldNotBeNull();
            await LeavesNothingAsync(machine, vm, i);
        }

        long after = (await machine.AskAsync("memory")).Number("scrubbed_chunks");
        output.WriteLine($"{after - before} chunks scrubbed beside {Moments} deaths");
        (after - before).ShouldBeGreaterThan(Moments);
    }

    /// <summary>What is loaded as a Linux kernel and its RAM disk: a header, and bytes.</summary>
    private static GuestPayload MakeLinux(string folder, long kernelBytes, long ramdiskBytes)
    {
        byte[] kernel = new byte[kernelBytes];
        Array.Fill(kernel, (byte)0xA5);
        kernel.AsSpan(0, 64).Clear();
        BinaryPrimitives.WriteInt64LittleEndian(kernel.AsSpan(16), kernelBytes);
        "ARMd"u8.CopyTo(kernel.AsSpan(56));
        string image = Path.Combine(folder, "Image");
        string ramdisk = Path.Combine(folder, "initrd");
        File.WriteAllBytes(image, kernel);
        File.WriteAllBytes(ramdisk, new byte[ramdiskBytes]);
        return new GuestPayload
        {
            Name = GuestPayload.Linux,
            Description = "a header, and bytes",
            Kernel = KernelImage.Check(image),
            Initrd = ramdisk,
            LeastMemory = Victim,
        };
    }

    /// <summary>When the guest is entered, and when it has filled its memory, in nanoseconds from its start.</summary>
    private static async Task<(long Entered, long Filled)> TimesAsync(TestMachine machine, string pages)
    {
        TestVm vm = await machine.RunAsync(Fill, Victim, pages: pages);
        await vm.PrintedAsync("done");
        KeyValueLine death = await machine.AskAsync($"kill vm={vm.Number}");
        long entered = death.Number("first_entry_virtual_ns");
        return (entered, entered + death.Number("fill_virtual_ns"));
    }

    /// <summary>All is back, a second order finds nothing to kill, and the next guest finds nothing of it.</summary>
    private static async Task LeavesNothingAsync(TestMachine machine, TestVm dead, int number)
    {
        await machine.ShouldBeUnharmedAsync();
        await machine.ShouldRefuseAsync($"kill vm={dead.Number}", "no-such-vm");
        await SearchAsync(machine, number % 2 == 0 ? "4k" : "2m");
    }

    /// <summary>A guest with all memory reads that it is zero, and makes all of it dirty for the next.</summary>
    private static async Task SearchAsync(TestMachine machine, string pages)
    {
        const long ForTables = 2 * ByteSize.Megabyte;
        long all = (await machine.AskAsync("memory")).Number("free_bytes") - ForTables;
        TestVm hostile = await machine.RunAsync("fill=all check=zero touch=page", all, pages: pages);
        (await hostile.DirtiedAsync()).ShouldBeGreaterThan(all - ByteSize.Megabyte);
        (await hostile.KillAsync()).FreedBytes.ShouldBe(all + ForTables);
        await machine.ShouldBeUnharmedAsync();
    }

    /// <summary>
    /// Finds the first moment at which the VM's own end precedes the kill, and kills it at moments around that; returns
    /// the reason of its own end.
    /// </summary>
    private async Task<string> EndsOnceAsync(TestMachine machine, Func<Task<TestVm>> create)
    {
        string reason = string.Empty;
        long killed = 0;
        long ended = 20_000_000;
        while (ended - killed > Tick)
        {
            long moment = (killed + ended) / 2;
            TestVm vm = await create();
            if (await vm.LiveForAsync(moment) is not null)
            {
                killed = moment;
            }
            else
            {
                ended = moment;
                reason = await vm.StoppedAsync();
            }

            await machine.ShouldBeUnharmedAsync();
        }

        output.WriteLine($"it ends by itself after {ended} ns: {reason}");
        const int Around = 8;
        for (int i = -Around; i < Around; i++)
        {
            TestVm vm = await create();
            await vm.LiveForAsync(ended + (i * Tick));
            await LeavesNothingAsync(machine, vm, i & 1);
        }

        return reason;
    }
}
