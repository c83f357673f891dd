using System;
using System.Collections.Generic;
using System.Globalization;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// A whole machine that runs programs: PEs, VMs over the real <see cref="GuestMemory{TFormat, TMachine}"/>, a host with
/// files and anonymous memory, a device that does not snoop. Everything that happens is told to a judge.
/// </summary>
/// <remarks>
/// The host keeps its contracts: fates are true, freed frames are overwritten before they are given on, drivers
/// do their own maintenance under FEAT_S2FWB. Tests override what is virtual with a host that does not.
/// </remarks>
public partial class Host<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private const int FilePages = 8;
    private const int SpareFrames = 64;
    private const ulong HostStart = 0x9_0000_0000;
    private const ulong SmallStart = 0x8000_0000;
    private const ulong BlockStart = 0xC000_0000;
    private const ulong FileStart = 0x1_0000_0000;
    private const ulong AnonymousStart = 0x1_4000_0000;
    private const int SmallPages = 16;
    private const ulong BlockBytes = 2 * FramePool.ChunkBytes;

    private readonly Func<ObservedMachine<ModelMachine, JudgeObserver>, VmPort, TMachine> _make;
    private readonly ProgramOptions _options;
    private readonly ModelWorld _world;
    private readonly VmidAllocator[] _vmids;
    private readonly Guest?[] _guests;
    private readonly Guest?[] _running;
    private readonly ulong[] _vmidWords;
    private readonly int _file;
    private readonly Stack<ulong> _frames = new();
    private Random _random = new(0);
    private int _births;

    /// <param name="options">The circumstances.</param>
    /// <param name="make">Makes a VM's machine out of the observed one: tests put a defect between.</param>
    public Host(ProgramOptions options, Func<ObservedMachine<ModelMachine, JudgeObserver>, VmPort, TMachine> make)
    {
        _options = options;
        _make = make;
        _world = new ModelWorld(options.Chunks, TFormat.GranuleShift, options.PoolIsZero);
        Judge = new Judge(options.Features, TFormat.GranuleShift, options.Pes + 1, options.Listener);
        Judge.AddMemory(new Pa(ModelWorld.PoolStart), _world.PoolBytes, isPool: true, options.PoolIsZero);
        Judge.AddMemory(new Pa(HostStart), (FilePages + SpareFrames) * Granule, isPool: false, isZero: false);
        _file = Judge.AddParty("the file");
        Judge.Own(new Pa(HostStart), FilePages * Granule, _file);
        Judge.Write(new Pa(HostStart), FilePages * Granule, Judge.Hypervisor, _file, isCached: true);
        for (ulong frame = FilePages + SpareFrames - 1; frame >= FilePages; frame--)
        {
            _frames.Push(HostStart + (frame * Granule));
        }

        _guests = new Guest?[options.Vms];
        _running = new Guest?[options.Pes];
        _vmidWords = GC.AllocateArray<ulong>(2 + (2 * (options.Pes + 1)), pinned: true);
        nint first = System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(_vmidWords, 0);
        _vmids = new VmidAllocator[1];
        _vmids[0].Initialize(
            options.VmidBits,
            new UnmanagedArray<ulong>(first, 2),
            new UnmanagedArray<ulong>(first + (2 * sizeof(ulong)), options.Pes + 1),
            new UnmanagedArray<ulong>(first + ((3 + options.Pes) * sizeof(ulong)), options.Pes + 1));
    }

    /// <summary>The judge of this machine.</summary>
    public Judge Judge { get; }

    /// <summary>The circumstances.</summary>
    protected ProgramOptions Options => _options;

    /// <summary>The monitor's own PE, which never runs a guest.</summary>
    protected int MonitorPe => _options.Pes;

    private static ulong Granule => 1UL << TFormat.GranuleShift;

    private ref VmidAllocator Vmids => ref _vmids[0];

    /// <summary>Runs one step; throws a <see cref="ViolationException"/> where the judge says so.</summary>
    public void Run(ProgramStep step)
    {
        _random = step.Race != 0 ? new Random(step.Race) : _random;
        int slot = step.Vm % _guests.Length;
        int pe = step.Pe % _options.Pes;
        Guest? guest = _guests[slot];
        if (guest is null)
        {
            if (step.Operation is Operation.Create or Operation.Enter)
            {
                Create(slot, (step.Choice & 3) == 1);
            }

            return;
        }

        guest.Port.Current = step.Operation;
        guest.Port.Invalidations = 0;
        guest.Port.Maintained = 0;
        guest.Port.Between = step.Race != 0 ? Between : null;
        guest.Port.Records.SetsAccessFlag =
            step.Race != 0 ? entry => _random.Next(2) == 0 && Judge.TrySetAccessFlag(entry) : null;
        Place place = PlaceOf(step.Page);
        if (place.Region == HugeRegion)
        {
            UseHugeFile();
        }

        Run(step, guest, pe, place);
        CheckPool();
    }

    private void Run(ProgramStep step, Guest guest, int pe, Place place)
    {
        switch (step.Operation)
        {
            case Operation.Create:
                break;
            case Operation.Enter:
                Enter(guest, pe);
                break;
            case Operation.Leave:
                Leave(pe);
                break;
            case <= Operation.Execute:
                Access(guest, pe, place, step);
                break;
            case Operation.UnmapPool when place.Region == HugeRegion:
                ChangeHuge(guest, place, step);
                break;
            case <= Operation.Age:
                ChangePool(guest, place, step);
                break;
            case Operation.Kill or Operation.KillLate:
                Kill(guest, step.Operation == Operation.KillLate);
                break;
            case Operation.Scrub:
                Scrub(guest);
                break;
            case Operation.BeginUnmap:
                BeginUnmap(guest, place, step);
                break;
            case Operation.ContinueUnmap:
                ContinueUnmap(guest);
                break;
            default:
                if (place.Region == HugeRegion)
                {
                    ChangeHuge(guest, place, step);
                    break;
                }

                ChangeHost(guest, place.Index % FilePages, step);
                break;
        }
    }

    /// <summary>A VM's number after its death: given on at once where it was invalidated as a whole.</summary>
    protected virtual void RetireVmid(ref VmidAllocator vmids, ref VmidLease lease, bool isInvalidated)
    {
        if (isInvalidated)
        {
            vmids.Retire(ref lease);
        }
        else
        {
            VmidAllocator.Abandon(ref lease);
        }
    }

    /// <summary>Overwrites a part of a dirty chunk, before the chunk passes for clean.</summary>
    protected virtual void ZeroPart(ref TMachine machine, ref readonly ScrubJob job) => job.Zero(ref machine);

    /// <summary>Whether the monitor waits for the vCPUs of a VM that dies.</summary>
    protected virtual bool WaitsForVcpus => true;

    /// <summary>What the memory layer is told of a page that leaves Stage-2.</summary>
    protected virtual PageFate Claim(PageFate fate) => fate;

    /// <summary>Takes a range out of a live VM's Stage-2.</summary>
    protected virtual void Unmap(
        ref GuestMemory<TFormat, TMachine> memory, ref TMachine machine, in NotifierRange range) =>
        Sound(memory.UnmapRange(ref machine, in range));

    /// <summary>Gives back all that a dead VM has.</summary>
    protected virtual ReleaseReport Release(ref GuestMemory<TFormat, TMachine> memory, ref TMachine machine) =>
        Sound(memory.Release(ref machine));

    /// <summary>A PE has loaded a VM's VTTBR_EL2, with this VMID.</summary>
    protected virtual void Entered(ref TMachine machine, Vmid vmid)
    {
    }

    /// <summary>A dirty log was read, and what it named is copied.</summary>
    protected virtual void Copied(ref TMachine machine)
    {
    }

    private void Create(int slot, bool isPrivate)
    {
        var records = new ModelVm();
        var port = new VmPort(Judge, _world, records) { Pe = MonitorPe };
        var guest = new Guest
        {
            Slot = slot,
            Port = port,
            Name = NameOf(slot),
            IsPrivate = isPrivate,
        };
        guest.Machine = _make(
            new ObservedMachine<ModelMachine, JudgeObserver>(
                new ModelMachine(_world, records, _options.Features), new JudgeObserver(port)),
            port);
        if (Vmids.Enter(MonitorPe, ref guest.Lease, ref guest.Machine) != VmidResult.Ok)
        {
            return;
        }

        Vmids.Leave(MonitorPe);
        Stage2Geometry.TryCreate<TFormat>(36, 40, out Stage2Geometry geometry);
        MemoryResult result = GuestMemory<TFormat, TMachine>.Create(
            ref guest.Machine, ref guest.Memory,
            new GuestMemoryOptions(geometry, _options.Policy, _options.UncachedGuests),
            Vmids.VmidOf(in guest.Lease));
        if (result != MemoryResult.Ok)
        {
            VmidAllocator.Abandon(ref guest.Lease);
            return;
        }

        var root = new Pa(guest.Memory.Vttbr & ((1UL << 48) - 1));
        guest.Judged = Judge.AddVm(guest.Name, root, geometry.RootTables, geometry.StartLevel);
        port.Vm = guest.Judged;
        guest.Anonymous = Judge.AddParty("the memory of " + guest.Name + "'s VMM");
        AddSlots(guest);
        _guests[slot] = guest;
        Tell?.Invoke($"{guest.Name} is made, VMID {Vmids.VmidOf(in guest.Lease).Value}");
    }

    private static void AddSlots(Guest guest)
    {
        guest.Memory.AddSlot(
            new Ipa(SmallStart), SmallPages * Granule, SlotOptions.Ram(PageSizing.Pages), out guest.Small);
        guest.Memory.AddSlot(new Ipa(BlockStart), BlockBytes, SlotOptions.Ram(PageSizing.Auto), out guest.Blocks);
        guest.Memory.AddSlot(new Ipa(FileStart), FilePages * Granule, HostSlot(PageFate.FileBacked), out _);
        guest.Memory.AddSlot(
            new Ipa(AnonymousStart), FilePages * Granule, HostSlot(PageFate.AnonymousLastMappingFreed), out _);
        guest.Memory.AddSlot(new Ipa(HugeStart), HugeBytes, HostSlot(PageFate.FileBacked), out guest.Huge);
    }

    private static SlotOptions HostSlot(PageFate fate) =>
        new(SlotBacking.Host, PageSizing.Auto, MemoryType.NormalWriteBack, false, fate);

    private string NameOf(int slot) => string.Create(
        CultureInfo.InvariantCulture, $"VM {(char)('A' + slot)}{++_births}");

    private void Enter(Guest guest, int pe)
    {
        if (_running[pe] == guest)
        {
            return;
        }

        Leave(pe);
        guest.Port.Pe = pe;
        if (Vmids.Enter(pe, ref guest.Lease, ref guest.Machine) != VmidResult.Ok)
        {
            return;
        }

        guest.Memory.Vmid = Vmids.VmidOf(in guest.Lease);
        _running[pe] = guest;
        Tell?.Invoke($"PE {pe} enters {guest.Name}, VMID {guest.Memory.Vmid.Value}");
        Judge.Load(pe, guest.Judged!, guest.Memory.Vmid);
        Entered(ref guest.Machine, guest.Memory.Vmid);
    }

    private void Leave(int pe)
    {
        if (_running[pe] is Guest guest)
        {
            Judge.Unload(pe, guest.Judged!);
            Vmids.Leave(pe);
            _running[pe] = null;
            Tell?.Invoke($"PE {pe} leaves {guest.Name}");
        }
    }

    private void LeaveAll(Guest guest)
    {
        for (int pe = 0; pe < _running.Length; pe++)
        {
            if (_running[pe] == guest)
            {
                Leave(pe);
            }
        }
    }

    private void Kill(Guest guest, bool late)
    {
        if (WaitsForVcpus && !late)
        {
            LeaveAll(guest);
        }

        Tell?.Invoke($"{guest.Name} dies{(late ? " while PEs still have its VTTBR" : ", its vCPUs out")}");
        TellLeftOut(UnmapOperation.Release, default, PageFate.AnonymousLastMappingFreed);
        guest.Port.Pe = MonitorPe;
        guest.Port.BeforeEnd = late && WaitsForVcpus ? _ => LeaveAll(guest) : null;
        Judge.BeginCall(guest.Judged);
        ReleaseReport report = Release(ref guest.Memory, ref guest.Machine);
        guest.Port.FindReturned();
        Judge.EndCall();
        RetireVmid(ref Vmids, ref guest.Lease, report.VmidIsInvalidated);
        foreach (ulong frame in (ReadOnlySpan<ulong>)[.. guest.Frames, .. guest.Copies])
        {
            if (frame != 0)
            {
                FreeFrame(frame);
            }
        }

        LeaveAll(guest);
        _guests[guest.Slot] = null;
        TellIssued(guest);
    }

    private void Scrub(Guest guest)
    {
        guest.Port.Pe = MonitorPe;
        ScrubJob job = default;
        if (!job.TryBegin(ref guest.Machine))
        {
            return;
        }

        do
        {
            ZeroPart(ref guest.Machine, in job);
        }
        while (!job.Clean(ref guest.Machine));
        Tell?.Invoke("an idle PE scrubs a chunk");
    }

    /// <summary>Other PEs' guests go on: one writes where a translation that is going may still let it.</summary>
    private void Between(VmPort port)
    {
        if (port.Vm is not { } vm || _random.Next(2) == 0)
        {
            return;
        }

        int pe = _random.Next(_options.Pes);
        if (Judge.TryReachStale(vm, pe, (ulong)(uint)_random.Next(), out _, out Pa page))
        {
            Judge.Write(page, Granule, vm.Party, Judge.OwnerOf(page), isCached: true);
        }
    }

    /// <summary>A VM of this machine.</summary>
    private sealed class Guest
    {
        public required int Slot;
        public required VmPort Port;
        public required string Name;

        /// <summary>Its VMM maps the huge file so that it gets copies of what it writes (MAP_PRIVATE).</summary>
        public required bool IsPrivate;
        public TMachine Machine;
        public GuestMemory<TFormat, TMachine> Memory;
        public VmidLease Lease;
        public JudgedVm? Judged;
        public int Small;
        public int Blocks;
        public int Huge;
        public int Anonymous;
        public ulong[]? Log;
        public readonly ulong[] Frames = new ulong[FilePages];

        /// <summary>The VMM's own copies of pages of the huge file; 0 where it has none.</summary>
        public readonly ulong[] Copies = new ulong[HugePlaces];

        /// <summary>A range goes in bounded calls, and the invalidation has not ended.</summary>
        public bool IsUnmapping;

        /// <summary>All of that range was done.</summary>
        public bool IsUnmapped;

        public NotifierRange Unmapping;
        public InvalidationCursor Cursor;
        public Place UnmappingOf;
    }

    /// <summary>An address that programs use.</summary>
    private readonly record struct Place(int Region, int Index, ulong Ipa);
}
