using System;
using System.Globalization;
using System.Threading;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Simulator;
using Quietus.Stage2;
using Host = Quietus.Simulator.Host;

namespace Quietus.Oracle.Servers;

/// <summary>What a judged life came to.</summary>
/// <param name="Violation">The rule that was broken; null when none was.</param>
/// <param name="Events">Checked operations.</param>
/// <param name="Pages">4 KB pages that were mapped, of both VMs.</param>
public readonly record struct LifeOutcome(Violation? Violation, long Events, long Pages);

/// <summary>
/// A run of the simulator under the judge: a VM is made, filled by its guest with caches on and off, gives its memory
/// up and dies as asked; what is dirty in the pool is scrubbed, half of it; and the next VM, of another process, gets
/// the same frames and looks at every page before it writes to it.
/// </summary>
/// <remarks>
/// Beside the memory that was asked for, which is the process's own, each VM has <see cref="FileBytes"/> of a mapped
/// file and <see cref="PoolBytes"/> out of the server's pool, as the hypervisor's guests have.
/// </remarks>
public sealed class JudgedLife
{
    /// <summary>The largest VM: the judge keeps about 100 bytes for each page of 4 KB.</summary>
    public const ulong MostBytes = 1UL << 30;

    /// <summary>vCPUs: the judge knows 32 PEs.</summary>
    public const int MostVcpus = 31;

    /// <summary>A file that both ends map shared: its pages outlive the VM.</summary>
    public const ulong FileBytes = 256 * 1024;

    /// <summary>Memory out of the pool: four chunks.</summary>
    public const ulong PoolBytes = 4 * FramePool.ChunkBytes;

    private const ulong PageBytes = 4096;
    private const ulong FileStart = 1UL << 36;
    private const ulong PoolStart = 1UL << 37;

    /// <summary>Every so many pages the guest also fetches instructions.</summary>
    private const ulong FetchEvery = 16;

    private readonly SimulationRequest _request;
    private readonly JudgedServer _judged;
    private readonly Host _host;
    private readonly Action<string>? _tell;
    private readonly CancellationToken _cancellation;
    private long _pages;

    private JudgedLife(
        SimulationRequest request, JudgedServer judged, Action<string>? tell, CancellationToken cancellation)
    {
        _request = request;
        _judged = judged;
        _tell = tell;
        _cancellation = cancellation;
        _host = new Host(judged.Server, request.Seed, request.Interleave);
    }

    /// <summary>A VM, its process, and where its memory lies.</summary>
    private sealed record Life(HostedVm Vm, string Name, int Slot, ulong Address, ulong File, int PoolSlot);

    private Judge Judge => _judged.Judge;

    /// <summary>Runs the engine as it is.</summary>
    /// <param name="request">
    /// What is to be simulated; at most <see cref="MostBytes"/> and <see cref="MostVcpus"/>.
    /// </param>
    /// <param name="tell">Receives a line for each step.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="SimulationException">The request makes no sense, or does not fit.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static LifeOutcome Run(
        SimulationRequest request, Action<string>? tell = null, CancellationToken cancellation = default) =>
        Run(request, static observer => observer, tell, cancellation);

    /// <summary>Runs it with something between the machine and the judge: a defect, in tests.</summary>
    public static LifeOutcome Run<TObserver>(
        SimulationRequest request, Func<JudgeObserver, TObserver> observe, Action<string>? tell = null,
        CancellationToken cancellation = default)
        where TObserver : struct, IMachineObserver
    {
        Simulation.Check(request);
        if (request.MemoryBytes > MostBytes || request.Vcpus > MostVcpus)
        {
            throw new SimulationException(
                $"a judged VM has at most {MostBytes >> 20} MB and {MostVcpus} vCPUs", "Take less.");
        }

        ulong pool = (Simulation.TableBytesFor(request.MemoryBytes) + (4 * PoolBytes)) & ~(FramePool.ChunkBytes - 1);

        // Each socket's share may hold all of it, the first VM's and the second's, and what alignment costs.
        ulong host = (2 * request.MemoryBytes) + (64UL << 20) + Simulation.UnitOf(request.Pages);
        JudgedServer judged = JudgedServer.Make(request.Machine, host, pool, request.Vcpus + 1, observe);
        var life = new JudgedLife(request, judged, tell, cancellation);
        Violation? violation = null;
        try
        {
            life.Live();
        }
        catch (ViolationException broken)
        {
            violation = broken.Violation;
        }

        return new LifeOutcome(violation, judged.Judge.Events, life._pages);
    }

    private void Live()
    {
        Life first = Begin();
        Fill(first);
        GiveUp(first);
        End(first);
        Scrub(first);
        Life second = Begin();
        Fill(second);
        End(second);
    }

    private Life Begin()
    {
        HostProcess vmm = _host.Start();
        ulong address = vmm.Map(
            _request.MemoryBytes, Simulation.AreaKindOf(_request.Death), Simulation.AreaPagesOf(_request.Pages), null,
            _request.HugePageShare);
        ulong file = vmm.Map(FileBytes, AreaKind.File);
        HostedVm vm = vmm.CreateVm(_request.Policy, _request.Vcpus, SimulatedVm.DefaultIpaBits);
        JudgedVm party = _judged.PartyOf(vm.Memory);
        int slot = vm.AddSlot(new Ipa(Simulation.RamStart), address, _request.MemoryBytes);
        vm.AddSlot(new Ipa(FileStart), file, FileBytes);
        int pool = vm.Memory.AddPoolSlot(
            new Ipa(PoolStart), PoolBytes,
            _request.Pages == GuestPages.Pages4K ? PageSizing.Pages : PageSizing.Auto);
        for (int pe = 0; pe < _request.Vcpus; pe++)
        {
            Judge.Load(pe, party, vm.Memory.Vmid);
        }

        _tell?.Invoke(string.Create(
            CultureInfo.InvariantCulture,
            $"{party.Name} is made, VMID {vm.Memory.Vmid.Value}, and runs on {_request.Vcpus} PEs"));
        return new Life(vm, party.Name, slot, address, file, pool);
    }

    private void Fill(Life life)
    {
        _tell?.Invoke(
            $"{life.Name} reads each page, caches off and on, then writes it, every second one with its caches off");
        Touch(life, Simulation.RamStart, _request.MemoryBytes, "its memory");
        Touch(life, FileStart, FileBytes, "its file");
        Touch(life, PoolStart, PoolBytes, "its pool memory");
    }

    private void Touch(Life life, ulong start, ulong bytes, string what)
    {
        SimulatedVm memory = life.Vm.Memory;
        for (ulong offset = 0; offset < bytes;)
        {
            if (offset % FramePool.ChunkBytes == 0)
            {
                _cancellation.ThrowIfCancellationRequested();
            }

            ulong number = offset / PageBytes;
            memory.Pe = (int)(number % (ulong)_request.Vcpus);
            ulong mapped = PageBytes;
            if (start == PoolStart)
            {
                FaultResult result = memory.MapPoolPage(new Ipa(start + offset));
                if (result != FaultResult.Mapped)
                {
                    throw new InvalidOperationException($"A fault at {start + offset:x} ended as {result}.");
                }
            }
            else
            {
                mapped = Math.Max(PageBytes, life.Vm.Touch(new Ipa(start + offset)));
            }

            for (ulong page = 0; page < mapped; page += PageBytes, number++)
            {
                Translation there = memory.Translate(new Ipa(start + offset + page));
                Use(life, new Pa(there.Output.Value & ~(PageBytes - 1)), number, what);
            }

            offset += mapped;
        }
    }

    /// <summary>The guest sees a page for the first time, and makes it its own.</summary>
    private void Use(Life life, Pa page, ulong number, string what)
    {
        _pages++;
        int party = _judged.PartyOf(life.Vm.Memory).Party;
        string where = string.Create(CultureInfo.InvariantCulture, $"page {number} of {what}");
        Judge.Consume(page, life.Name, where, isCached: _judged.HasForcedWriteBack);
        Judge.Consume(page, life.Name, where, isCached: true);
        if (number % FetchEvery == 0)
        {
            Judge.Fetch(page, life.Name, where);
        }

        bool isCached = number % 2 == 0 || _judged.HasForcedWriteBack;
        if (!isCached && Judge.MayBeDirty(page))
        {
            // A guest cleans before it turns its caches off, or its own lines come back over its writes.
            Judge.GuestMaintains(page, CacheKind.CleanInvalidate);
        }

        Judge.Write(page, PageBytes, party, Judge.OwnerOf(page), isCached);
    }

    /// <summary>The VM's memory goes while it lives, by the way to die that was asked for.</summary>
    private void GiveUp(Life life)
    {
        if (_request.Death is DeathKind.Exit or DeathKind.Kill)
        {
            return;
        }

        _tell?.Invoke($"{life.Name}'s memory leaves it by {_request.Death.ToString().ToLowerInvariant()}");
        HostProcess vmm = life.Vm.Owner;
        Pa[] kept = new Pa[_request.Death is DeathKind.Mremap or DeathKind.Slot ? _request.MemoryBytes / PageBytes : 0];
        for (int page = 0; page < kept.Length; page++)
        {
            kept[page] = vmm.Translate(life.Address + ((ulong)page * PageBytes), out _);
        }

        Simulation.Depart(_request, life.Vm, life.Slot, life.Address);
        ReadKept(kept, "the process that keeps it", "of the memory that left the VM");
        if (_request.Death == DeathKind.Munmap)
        {
            Pa[] file = FilePages(life);
            vmm.Unmap(life.File, FileBytes);
            ReadKept(file, "write-back", "of the file");
            _ = life.Vm.Memory.Notify(new NotifierRange(
                new Ipa(PoolStart), new Ipa(PoolStart + PoolBytes), NotifierEvent.Unmap, true,
                PageFate.AnonymousLastMappingFreed));
        }
        else if (_request.Death == DeathKind.Slot)
        {
            _ = life.Vm.Memory.RemoveSlot(life.PoolSlot);
        }
    }

    private void End(Life life)
    {
        _tell?.Invoke($"{life.Name} dies, its vCPUs stopped");
        JudgedVm party = _judged.PartyOf(life.Vm.Memory);
        for (int pe = 0; pe < _request.Vcpus; pe++)
        {
            Judge.Unload(pe, party);
        }

        Pa[] file = FilePages(life);
        Simulation.Finish(_request, life.Vm);
        ReadKept(file, "write-back", "of the file");
        _ = Simulation.CheckDeath(life.Vm, _host);
    }

    /// <summary>Every second dirty chunk: of the others each page is zeroed by the fault that maps it.</summary>
    private void Scrub(Life life)
    {
        int dirty = _judged.Server.Pool.Usage.DirtyChunks;
        int scrubbed = 0;
        while (scrubbed < (dirty + 1) / 2 && life.Vm.Memory.Scrub())
        {
            scrubbed++;
        }

        _tell?.Invoke(string.Create(
            CultureInfo.InvariantCulture, $"idle PEs scrub {scrubbed} of {dirty} dirty chunks"));
    }

    /// <summary>The pages that the file has and that are mapped still.</summary>
    private static Pa[] FilePages(Life life)
    {
        var pages = new Pa[FileBytes / PageBytes];
        for (int page = 0; page < pages.Length; page++)
        {
            pages[page] = life.Vm.Owner.Translate(life.File + ((ulong)page * PageBytes), out _);
        }

        return pages;
    }

    private void ReadKept(Pa[] pages, string reader, string where)
    {
        for (int page = 0; page < pages.Length; page++)
        {
            if (pages[page].Value != 0)
            {
                Judge.Consume(
                    pages[page], reader, string.Create(CultureInfo.InvariantCulture, $"page {page} {where}"),
                    isCached: true);
            }
        }
    }
}
