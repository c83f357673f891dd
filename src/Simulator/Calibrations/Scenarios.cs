using System;
using System.Linq;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// What was measured on real machines, done again on simulated ones. Each gives virtual nanoseconds of the PE that
/// works.
/// </summary>
internal static class Scenarios
{
    private const ulong Gigabyte = 1UL << 30;
    private const ulong BlockBytes = 1UL << 21;
    private const ulong PageBytes = 4096;

    /// <summary>Data pages begin here: nothing is at address 0.</summary>
    private const ulong FirstFrame = Gigabyte;

    /// <summary>A VM of 64 GB, filled and killed.</summary>
    internal static double Death(MachinePreset machine, GuestPages pages, MaintenancePolicy policy) =>
        Simulation.Run(new SimulationRequest { Machine = machine, Pages = pages, Policy = policy }).DeathNanoseconds;

    /// <summary>DC CIVAC of so much memory by blocks, spread over the sockets evenly.</summary>
    internal static double CleanAll(MachinePreset machine, ulong bytes)
    {
        SimulatedVm vm = NewVm(machine, 0);
        ulong share = machine.MemoryBytes / (ulong)machine.Sockets;
        for (ulong done = 0; done < bytes; done += BlockBytes)
        {
            ulong block = done / BlockBytes;
            ulong socket = block % (ulong)machine.Sockets;
            vm.Machine.CleanInvalidateToPoC(
                new Pa((socket * share) + (block / (ulong)machine.Sockets * BlockBytes)), BlockBytes);
        }

        vm.Machine.DsbFullSystem();
        return Nanoseconds(vm, default);
    }

    /// <summary>
    /// 20 GB mapped by 4K pages become blocks of 1 GB, as in Linux 5.11: for each block the leaves go one by one
    /// without an invalidation, the VMID is invalidated once, and the block is mapped.
    /// </summary>
    internal static double Rebuild(MachinePreset machine, bool cleans)
    {
        SimulatedVm vm = NewVm(machine, 20 * Gigabyte);
        PageTable<Arm<Granule4K>, SimulatedMachine> table = Filled(vm, 20 * Gigabyte, 3);
        UnmapFlags flags = UnmapFlags.ElideTlbInvalidation
            | (cleans ? UnmapFlags.None : UnmapFlags.ElideCacheMaintenance);
        Bill before = vm.Bill;
        for (ulong ipa = 0; ipa < 20 * Gigabyte; ipa += Gigabyte)
        {
            var cursor = new RangeCursor(new Ipa(ipa), Gigabyte);
            NoSink sink = default;
            Expect(table.UnmapEager(ref vm.Machine, ref cursor, flags, PartialBlock.TakeWhole, ref sink));
            table.InvalidateVmid(ref vm.Machine);
            Expect(table.Map(
                ref vm.Machine, new Ipa(ipa), FrameFor(machine, ipa, Gigabyte), 1, LeafAttributes.GuestMemory));
        }

        return Nanoseconds(vm, before);
    }

    /// <summary>A look at each entry of 64 GB of 4K pages.</summary>
    internal static double ReadEntries(MachinePreset machine)
    {
        SimulatedVm vm = NewVm(machine, 64 * Gigabyte);
        PageTable<Arm<Granule4K>, SimulatedMachine> table = Filled(vm, 64 * Gigabyte, 3);
        Bill before = vm.Bill;
        var cursor = new RangeCursor(default, 64 * Gigabyte);
        NoVisit visitor = default;
        Expect(table.Visit(ref vm.Machine, ref cursor, ref visitor));
        return Nanoseconds(vm, before);
    }

    /// <summary>
    /// Dirty logging begins on 128 GB: Linux's two bitmaps are made, and everything is write-protected.
    /// </summary>
    internal static double WriteProtect(MachinePreset machine, GuestPages pages)
    {
        ulong bytes = 128 * Gigabyte;
        SimulatedVm vm = NewVm(machine, bytes);
        int level = pages switch
        {
            GuestPages.Pages4K => 3,
            GuestPages.Blocks2M => 2,
            _ => 1,
        };
        PageTable<Arm<Granule4K>, SimulatedMachine> table = Filled(vm, bytes, level);
        Bill before = vm.Bill;
        ulong bitmaps = 2 * (bytes / PageBytes / 8);
        vm.Meter.Calls++;
        vm.Meter.PagesZeroed += (long)(bitmaps / PageBytes);
        var cursor = new RangeCursor(default, bytes);
        Expect(table.WriteProtect(
            ref vm.Machine, ref cursor, PartialBlock.TakeWhole, out MaintenanceDebt debt));
        table.Settle(ref vm.Machine, ref debt);
        return Nanoseconds(vm, before);
    }

    /// <summary>
    /// An unmapping as Linux does it, by leaves of one level: one invalidation for each, or one range for a table.
    /// </summary>
    internal static double Unmap(MachinePreset machine, ulong bytes, int level, bool byRange)
    {
        SimulatedVm vm = NewVm(machine, bytes);
        PageTable<Arm<Granule4K>, SimulatedMachine> table = Filled(vm, bytes, level);
        Bill before = vm.Bill;
        var cursor = new RangeCursor(default, bytes, byRange ? 512 : RangeCursor.Unlimited);
        NoSink sink = default;
        Stage2Result result;
        do
        {
            Ipa start = cursor.Next;
            UnmapFlags flags = byRange ? UnmapFlags.ElideTlbInvalidation : UnmapFlags.None;
            result = table.UnmapEager(ref vm.Machine, ref cursor, flags, PartialBlock.TakeWhole, ref sink);
            MaintenanceDebt debt = byRange ? MaintenanceDebt.Range(start, cursor.Next, level) : default;
            table.Settle(ref vm.Machine, ref debt);
        }
        while (result == Stage2Result.Again);

        Expect(result);
        return Nanoseconds(vm, before);
    }

    /// <summary>The host's flush_tlb_range: a TLBI for each page, one DSB.</summary>
    internal static double FlushRange(MachinePreset machine, int pages)
    {
        var server = new SimulatedServer(machine, BlockBytes);
        server.FlushHostTlb(server.MeterOf(0), pages);
        return server.NowOf(0);
    }

    /// <summary>
    /// Every PE zeroes a page, unmaps and frees it, again and again, each in a process of its own: the time with a
    /// broadcast for each page, over that without.
    /// </summary>
    internal static double ContentionFactor(MachinePreset machine) =>
        PagesComeAndGo(machine, broadcasts: true) / PagesComeAndGo(machine, broadcasts: false);

    private static double PagesComeAndGo(MachinePreset machine, bool broadcasts)
    {
        const int rounds = 200;
        var server = new SimulatedServer(machine, BlockBytes) { ConcurrentSenders = machine.Pes };
        Meter[] meters = [.. Enumerable.Range(0, machine.Pes).Select(server.MeterOf)];
        for (int step = 0; step < rounds * meters.Length; step++)
        {
            // The PE that is furthest behind acts next.
            Meter meter = meters.MinBy(each => each.Now)!;
            meter.PagesZeroed++;
            meter.Calls++;
            meter.PagesFreed++;
            if (broadcasts)
            {
                server.FlushHostTlb(meter, 1);
            }
        }

        return meters.Max(meter => meter.Now);
    }

    private static SimulatedVm NewVm(MachinePreset machine, ulong bytes)
    {
        // Two tables at a time: the VM's own root, and what the scenario fills.
        var server = new SimulatedServer(machine, (bytes >> 9) + (bytes >> 16) + (16UL << 20));
        return new SimulatedVm(server, MaintenancePolicy.BeforeSeries);
    }

    /// <summary>A table that maps so much memory by leaves of one level, pages of the sockets in turn.</summary>
    private static PageTable<Arm<Granule4K>, SimulatedMachine> Filled(SimulatedVm vm, ulong bytes, int level)
    {
        Expect(PageTable<Arm<Granule4K>, SimulatedMachine>.Create(
            ref vm.Machine, vm.Geometry, new Vmid(100), out PageTable<Arm<Granule4K>, SimulatedMachine> table));

        // As large pieces as one socket's memory is contiguous in; a run costs less to map than single pages.
        ulong piece = Math.Max(BlockBytes, HostFrames.BytesOf(level));
        MapOptions options = level == 3 ? MapOptions.PagesOnly : MapOptions.None;
        for (ulong ipa = 0; ipa < bytes; ipa += piece)
        {
            Expect(table.MapRange(
                ref vm.Machine, new Ipa(ipa), FrameFor(vm.Server.Preset, ipa, piece), piece,
                LeafAttributes.GuestMemory, options));
        }

        return table;
    }

    /// <summary>The host's memory for a piece of the guest's: the sockets take turns.</summary>
    private static Pa FrameFor(MachinePreset machine, ulong ipa, ulong piece)
    {
        ulong number = ipa / piece;
        ulong sockets = (ulong)machine.Sockets;
        ulong share = machine.MemoryBytes / sockets;
        return new Pa(FirstFrame + (number % sockets * share) + (number / sockets * piece));
    }

    private static double Nanoseconds(SimulatedVm vm, Bill before) =>
        (vm.Bill.Time.Picoseconds - before.Time.Picoseconds) / 1000.0;

    private static void Expect(Stage2Result result)
    {
        if (result != Stage2Result.Done)
        {
            throw new InvalidOperationException($"A scenario ended as {result}.");
        }
    }

    private struct NoVisit : ILeafVisitor
    {
        public readonly void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes)
        {
        }
    }
}
