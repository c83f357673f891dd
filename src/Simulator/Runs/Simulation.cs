using System;
using System.Numerics;
using System.Threading;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>Simulates a VM's life and death on a machine.</summary>
public static class Simulation
{
    /// <summary>
    /// Where the guest's RAM begins: at 1 GB, as on QEMU's virt machine, so that it can be mapped by 1 GB.
    /// </summary>
    internal const ulong RamStart = 1UL << 30;

    private const ulong PageBytes = 4096;

    private const int UnknownLevel = VmEngine.UnknownLevel;

    /// <summary>Faults between two looks at the cancellation.</summary>
    private const int Stride = 1 << 16;

    /// <summary>Addresses that are looked up in VM and host after filling and after the death.</summary>
    private const int Samples = 4096;

    /// <summary>
    /// Fills a VM as asked, ends it as asked, and tells what that came to. The same request gives the same.
    /// </summary>
    /// <param name="request">The VM, its machine, and how it dies.</param>
    /// <param name="filling">Hears how much of the memory has been touched, 0 to 1.</param>
    /// <param name="cancellation">Ends it early.</param>
    /// <exception cref="SimulationException">The request makes no sense, or does not fit the machine.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static SimulationResult Run(
        SimulationRequest request, Action<double>? filling = null, CancellationToken cancellation = default)
    {
        Check(request);
        var server = new SimulatedServer(request.Machine, TableBytesFor(request.MemoryBytes));
        var host = new Host(server, request.Seed, request.Interleave);
        HostProcess vmm = host.Start();
        ulong address = vmm.Map(
            request.MemoryBytes, AreaKindOf(request.Death), AreaPagesOf(request.Pages), null, request.HugePageShare);
        HostedVm vm = vmm.CreateVm(request.Policy, request.Vcpus, IpaBitsFor(request.MemoryBytes));
        int slot = vm.AddSlot(new Ipa(RamStart), address, request.MemoryBytes);

        Bill start = server.BillOf(vmm.Pe);
        Fill(request, vm, filling, cancellation);
        Bill filled = server.BillOf(vmm.Pe);
        long checks = CheckAgreement(vm, request);
        long pages = (long)vm.Memory.MappedPages;
        long blocks = (long)vm.Memory.MappedBlocks;
        long gigabytes = CountGigabytes(vm, request);
        long tables = (long)vm.Memory.TablePages;
        double victims = server.VictimNanoseconds;

        cancellation.ThrowIfCancellationRequested();
        Depart(request, vm, slot, address);
        Finish(request, vm);
        Bill ended = server.BillOf(vmm.Pe);
        checks += CheckDeath(vm, host);
        return new SimulationResult
        {
            Request = request,
            MappedPages4K = pages,
            MappedBlocks2M = blocks,
            MappedBlocks1G = gigabytes,
            TablePages = tables,
            Fill = filled - start,
            Death = ended - filled,
            VictimNanoseconds = server.VictimNanoseconds - victims,
            InvariantsChecked = checks,
        };
    }

    internal static void Check(SimulationRequest request)
    {
        if (request.Pages == GuestPages.Pages64K || !request.Machine.IsArm64)
        {
            throw new SimulationException(
                request.Machine.IsArm64
                    ? $"{request.Machine.Name} has base pages of 4 KB"
                    : $"{request.Machine.Name} is a machine of {request.Machine.Architecture}",
                request.Machine.IsArm64 ? "Take 4k, 2m, 1g or thp." : "Its hook is simulated apart.");
        }

        CheckSizes(request, UnitOf(request.Pages));
    }

    /// <summary>Whether the memory is of whole pages and fits the machine, and the vCPUs have a PE each.</summary>
    internal static void CheckSizes(SimulationRequest request, ulong unit)
    {
        if (request.MemoryBytes == 0 || request.MemoryBytes % unit != 0)
        {
            throw new SimulationException(
                $"{request.MemoryBytes} bytes are no multiple of the pages' {unit}",
                "Take a multiple, or smaller pages.");
        }

        if (request.MemoryBytes > request.Machine.MemoryBytes - (request.Machine.MemoryBytes >> 6))
        {
            throw new SimulationException(
                $"{request.Machine.Name} has {request.Machine.MemoryBytes >> 20} MB, too few for a VM of "
                + $"{request.MemoryBytes >> 20} MB", "Take less, or give it more: --set memory=…");
        }

        if (request.Vcpus < 1 || request.Vcpus > request.Machine.Pes)
        {
            throw new SimulationException(
                $"{request.Vcpus} vCPUs on {request.Machine.Pes} PEs",
                "each vCPU has a PE of its own: give --vcpus that many at most");
        }

        if (request.Touched is not (>= 0 and <= 1) || request.HugePageShare is not (>= 0 and <= 1))
        {
            throw new SimulationException("a share lies outside 0 to 1", "Give 0.5, say.");
        }
    }

    internal static ulong UnitOf(GuestPages pages) => pages switch
    {
        GuestPages.Blocks1G => 1UL << 30,
        GuestPages.Blocks2M => 1UL << 21,
        _ => PageBytes,
    };

    internal static AreaPages AreaPagesOf(GuestPages pages) => pages switch
    {
        GuestPages.Blocks1G => AreaPages.Huge1G,
        GuestPages.Blocks2M or GuestPages.Pages64K => AreaPages.Huge2M,
        GuestPages.Transparent => AreaPages.Transparent,
        _ => AreaPages.Small,
    };

    /// <summary>Holes are of files: the memory that is to get one is a file's.</summary>
    internal static AreaKind AreaKindOf(DeathKind death) =>
        death == DeathKind.Punch ? AreaKind.MemoryFile : AreaKind.Anonymous;

    internal static int IpaBitsFor(ulong bytes) =>
        Math.Max(SimulatedVm.DefaultIpaBits, 64 - BitOperations.LeadingZeroCount(RamStart + bytes - 1));

    /// <summary>Tables of 4 KB pages take 1/512 of what they map, and a little above.</summary>
    internal static ulong TableBytesFor(ulong bytes) => (bytes >> 9) + (bytes >> 17) + (16UL << 20);

    private static void Fill(
        SimulationRequest request, HostedVm vm, Action<double>? filling, CancellationToken cancellation)
    {
        // Huge pages come whole with their first touch, transparent ones are touched in order.
        ulong unit = UnitOf(request.Pages);
        ulong units = request.MemoryBytes / unit;
        ulong touched = (ulong)Math.Round(units * request.Touched);
        CacheLines lines = vm.Memory.Server.Lines;
        var order = new Permutation(units, request.Seed);
        for (ulong i = 0; i < touched;)
        {
            if (i % Stride == 0)
            {
                cancellation.ThrowIfCancellationRequested();
                filling?.Invoke((double)i / touched);
            }

            ulong index = request.Touch == TouchPattern.Random ? order.Next() : i;
            ulong ipa = RamStart + (index * unit);

            // The syndrome names the level; after a table's first page it is 3.
            bool hasTable = request is { Touch: not TouchPattern.Random, Pages: GuestPages.Pages4K }
                && (ipa & (ProcessPages.BlockBytes - 1)) != 0;
            ulong mapped = vm.Touch(
                new Ipa(ipa), AccessKind.Write, hasTable ? 3 : UnknownLevel, out ulong frame);
            if (mapped == 0)
            {
                throw new InvalidOperationException($"The host has no page for {ipa:x}.");
            }

            ulong written = request.Touch == TouchPattern.Random ? unit : Math.Max(mapped, unit);
            if (frame != 0 && !request.CachesOff && mapped == written)
            {
                lines.Write(frame, written);
            }
            else
            {
                Write(request, vm, lines, ipa, written);
            }

            i += request.Touch == TouchPattern.Random ? 1 : written / unit;
        }

        for (int round = 0; request.Touch == TouchPattern.HotSet && round < 4; round++)
        {
            for (ulong i = 0; i < touched / 10; i++)
            {
                Write(request, vm, lines, RamStart + (i * unit), unit);
            }
        }
    }

    /// <summary>The guest writes to what is mapped. Past the caches, nothing of it is in them.</summary>
    private static void Write(SimulationRequest request, HostedVm vm, CacheLines lines, ulong ipa, ulong bytes)
    {
        if (request.CachesOff)
        {
            return;
        }

        Pa page = vm.Owner.Translate(vm.Slots[0].Address + (ipa - RamStart), out _);
        lines.Write(page.Value, bytes);
    }

    /// <summary>What happens to the VM's memory while the VM lives.</summary>
    internal static void Depart(SimulationRequest request, HostedVm vm, int slot, ulong address)
    {
        HostProcess vmm = vm.Owner;
        bool done = request.Death switch
        {
            DeathKind.Munmap => vmm.Unmap(address, request.MemoryBytes),
            DeathKind.Madvise => vmm.DontNeed(address, request.MemoryBytes),
            DeathKind.Mremap => vmm.Move(address, request.MemoryBytes, out _),
            DeathKind.Punch => vmm.Punch(address, request.MemoryBytes),
            DeathKind.Slot => vm.RemoveSlot(slot) == MemoryResult.Ok,
            _ => true,
        };
        if (!done)
        {
            throw new InvalidOperationException($"The {request.Death} was refused.");
        }
    }

    /// <summary>The end of the VM and of its process.</summary>
    internal static void Finish(SimulationRequest request, HostedVm vm)
    {
        if (request.Death == DeathKind.Exit)
        {
            vm.Owner.Exit();
        }
        else
        {
            vm.Owner.Kill();
        }
    }

    /// <summary>
    /// What the VM maps is what the host maps, at addresses drawn from the seed; counts agree with the sizes.
    /// </summary>
    private static long CheckAgreement(HostedVm vm, SimulationRequest request)
    {
        var random = new Random(request.Seed);
        var check = new Agreement(vm.Owner, vm.Slots[0].Address - RamStart);
        for (int i = 0; i < Samples; i++)
        {
            ulong offset = (ulong)random.NextInt64((long)(request.MemoryBytes / PageBytes)) * PageBytes;
            vm.Memory.Visit(new Ipa(RamStart + offset), PageBytes, ref check);
        }

        return check.Checked;
    }

    private static long CountGigabytes(HostedVm vm, SimulationRequest request)
    {
        if (request.Pages != GuestPages.Blocks1G)
        {
            return 0;
        }

        var count = default(LeafCount);
        vm.Memory.Visit(new Ipa(RamStart), request.MemoryBytes, ref count);
        return count.Gigabytes;
    }

    /// <summary>Nothing is left: no table, no table page that the pool would miss, no owner of a page.</summary>
    internal static long CheckDeath(HostedVm vm, Host host)
    {
        bool holds = !vm.Memory.Exists && vm.Memory.Frames.ChunkCount == 0
            && host.Server.Pool.Usage.OwnedChunks == 0 && host.Server.Pool.RefusedFrees == 0
            && !host.Frames.AnyShared && host.Processes.Count == 0;
        return holds ? 1 : throw new InvalidOperationException("Something is left of the VM after its death.");
    }

    private struct LeafCount : ILeafVisitor
    {
        internal long Gigabytes;

        public void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes) => Gigabytes += level == 1 ? 1 : 0;
    }
}
