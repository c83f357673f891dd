using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>The machine's own accounts: what is counted, where, at which price; and the low-level session.</summary>
public class MachineTests
{
    private const ulong Page = 4096;

    [Fact]
    public void A_session_maps_named_pages_in_their_order_and_unmaps_them_with_what_Linux_5_5_issued()
    {
        var server = new SimulatedServer(Machines.Named("d05"), 64UL << 20);
        var vm = new SimulatedVm(server, MaintenancePolicy.BeforeSeries);
        vm.AddSlot(new Ipa(1UL << 30), 1UL << 30, PageFate.AnonymousLastMappingFreed);
        for (ulong i = 0; i < 1000; i++)
        {
            vm.MapHostPage(new Ipa((1UL << 30) + (i * 3 * Page)), new Pa(0x1_0000_0000 + (i * Page)), 3)
                .ShouldBe(FaultResult.Mapped);
        }

        // 1000 pages, every third, lie in six tables of level 3 below one of level 2.
        vm.MappedPages.ShouldBe(1000UL);
        Bill before = vm.Bill;
        vm.Notify(new NotifierRange(
            new Ipa(1UL << 30), new Ipa(2UL << 30), NotifierEvent.Unmap, true,
            PageFate.AnonymousLastMappingFreed)).ShouldBe(MemoryResult.Ok);
        OperationCounts unmap = (vm.Bill - before).Counts;

        unmap.TlbiIpa.ShouldBe(1000 + 6 + 1);
        unmap.TlbiVmalle1.ShouldBe(unmap.TlbiIpa);
        unmap.DcLines.ShouldBe(1000 * 64);
        unmap.DsbSystem.ShouldBe(1000);
        unmap.EntryUnlinks.ShouldBe(1000 + 6 + 1);
        unmap.TablesFreed.ShouldBe(6 + 1);

        before = vm.Bill;
        vm.Release().Result.ShouldBe(MemoryResult.Ok);
        (vm.Bill - before).Counts.TlbiIpa.ShouldBe(0);
    }

    [Fact]
    public void Lines_cost_by_the_socket_that_they_are_on_and_by_their_state()
    {
        MachinePreset d05 = Machines.Named("d05");
        double local = Cost(d05, 1UL << 30, isDirty: false);
        double remote = Cost(d05, 600UL << 30, isDirty: false);
        double dirty = Cost(d05, 1UL << 30, isDirty: true);

        local.ShouldBe(64 * d05["dc_line_local"], 0.001);
        remote.ShouldBe(64 * d05["dc_line_remote"], 0.001);
        dirty.ShouldBe(local + (64 * d05["dc_line_dirty"]), 0.001);

        static double Cost(MachinePreset machine, ulong address, bool isDirty)
        {
            var server = new SimulatedServer(machine, 2UL << 20);
            Meter meter = server.MeterOf(0);
            server.Lines.Read(address, Page);
            if (isDirty)
            {
                server.Lines.Write(address, Page);
            }

            server.Lines.CleanInvalidate(meter, address, Page);
            double once = server.NowOf(0);
            server.Lines.IsDirty(address).ShouldBeFalse();
            return once;
        }
    }

    [Fact]
    public void What_came_first_into_full_caches_has_been_written_back()
    {
        MachinePreset pi = Machines.Named("rpi4");
        var server = new SimulatedServer(pi, 2UL << 20);
        ulong frames = (ulong)pi["cache"] / Page;
        for (ulong frame = 1; frame <= frames + 1; frame++)
        {
            server.Lines.Write(frame * Page, Page);
        }

        server.Lines.IsDirty(Page).ShouldBeFalse();
        server.Lines.IsDirty(2 * Page).ShouldBeTrue();
        server.Lines.IsDirty((frames + 1) * Page).ShouldBeTrue();
    }

    [Fact]
    public void Senders_wait_for_each_other_and_the_wait_grows_with_their_number()
    {
        MachinePreset emag = Machines.Named("emag");
        var each = new List<double>();
        foreach (int senders in new[] { 8, 16, 32 })
        {
            var server = new SimulatedServer(emag, 2UL << 20) { ConcurrentSenders = senders };
            for (int round = 0; round < 50; round++)
            {
                for (int pe = 0; pe < senders; pe++)
                {
                    server.FlushHostTlb(server.MeterOf(pe), 1);
                }
            }

            each.Add(server.NowOf(senders - 1));
        }

        (each[1] / each[0]).ShouldBeInRange(1.7, 2.1);
        (each[2] / each[1]).ShouldBeInRange(1.9, 2.1);
    }

    [Fact]
    public void Broadcasts_cost_by_the_PEs_and_the_sockets()
    {
        MachinePreset d05 = Machines.Named("d05");
        Flush(d05).ShouldBe(
            d05["tlbi_base"] + (64 * d05["tlbi_per_pe"]) + d05["tlbi_wait"] + d05["tlbi_wait_remote"], 0.001);
        Flush(d05.With("sockets=1")).ShouldBe(Flush(d05) - d05["tlbi_wait_remote"], 0.001);

        static double Flush(MachinePreset machine)
        {
            var server = new SimulatedServer(machine, 2UL << 20);
            server.FlushHostTlb(server.MeterOf(5), 1);
            server.VictimNanoseconds.ShouldBe(machine["tlbi_victim"]);
            server.NowOf(0).ShouldBe(0);
            return server.NowOf(5);
        }
    }

    [Fact]
    public void A_child_keeps_what_it_shares_and_fate_maintains_just_that_at_the_parents_death()
    {
        var server = new SimulatedServer(Machines.Named("d05"), 64UL << 20);
        var host = new Host(server);
        HostProcess vmm = host.Start();
        ulong address = vmm.Map(64 * Page);
        HostedVm vm = vmm.CreateVm(MaintenancePolicy.Fate);
        vm.AddSlot(new Ipa(1UL << 30), address, 64 * Page);
        for (ulong page = 0; page < 64; page++)
        {
            vm.Touch(new Ipa((1UL << 30) + (page * Page))).ShouldBe(Page);
        }

        HostProcess child = vmm.Fork();
        vm.Memory.MappedPages.ShouldBe(0UL);
        for (ulong page = 0; page < 64; page++)
        {
            vm.Touch(new Ipa((1UL << 30) + (page * Page)), page < 48 ? AccessKind.Write : AccessKind.Read)
                .ShouldBe(Page);
        }

        Bill before = server.BillOf(0);
        vmm.Kill();

        // 48 pages were copied and are the VM's own; 16 are still the child's, too.
        Bill death = server.BillOf(0) - before;
        death.Counts.DcLines.ShouldBe(16 * 64);
        death.Counts.PagesFreed.ShouldBe(48);
        child.Translate(address + (63 * Page), out _).Value.ShouldNotBe(0UL);
        child.Exit();
        host.Frames.AnyShared.ShouldBeFalse();
    }
}
