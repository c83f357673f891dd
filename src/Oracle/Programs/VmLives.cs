using System.Globalization;
using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>How VMs begin and end, and what is done with the memory that they leave.</summary>
internal sealed class VmLives<TFormat, TMachine>(
    ProgramMachine<TFormat, TMachine> machine,
    System.Func<ObservedMachine<ModelMachine, JudgeObserver>, VmPort, TMachine> make)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private int _births;

    /// <summary>Makes a VM with its slots, where the pool has the memory for its root.</summary>
    public void Create(int slot, bool isPrivate)
    {
        ProgramOptions options = machine.Options;
        if (!TryBegin(slot, isPrivate, out Guest<TFormat, TMachine> guest))
        {
            return;
        }

        Stage2Geometry.TryCreate<TFormat>(36, 40, out Stage2Geometry geometry);
        MemoryResult result = GuestMemory<TFormat, TMachine>.Create(
            ref guest.Machine, ref guest.Memory,
            new GuestMemoryOptions(geometry, options.Policy, options.UncachedGuests),
            machine.Pes.Vmids.VmidOf(in guest.Lease));
        if (result != MemoryResult.Ok)
        {
            VmidAllocator.Abandon(ref guest.Lease);
            return;
        }

        Begin(guest);
        guest.Anonymous = machine.Judge.AddParty("the memory of " + guest.Name + "'s VMM");
        AddSlot(guest, Region.Small, SlotOptions.Ram(PageSizing.Pages));
        AddSlot(guest, Region.Block, SlotOptions.Ram(PageSizing.Auto));
        if (!options.Forks)
        {
            AddSlot(guest, Region.File, HostSlot(PageFate.FileBacked));
            AddSlot(guest, Region.Anonymous, HostSlot(PageFate.AnonymousLastMappingFreed));
            AddSlot(guest, Region.Huge, HostSlot(PageFate.FileBacked));
        }

        machine.Guests[slot] = guest;
        machine.Story.Step?.Invoke($"{guest.Name} is made, VMID {machine.Pes.Vmids.VmidOf(in guest.Lease).Value}");
    }

    /// <summary>A VM becomes a template: its vCPUs are out, and what it has is declared shared from then on.</summary>
    public void Freeze(Guest<TFormat, TMachine> guest)
    {
        machine.Pes.CommitFaults(guest);
        machine.Pes.LeaveAll(guest);
        guest.Port.Pe = machine.MonitorPe;
        bool wasFrozen = guest.Memory.IsFrozen;
        machine.Judge.BeginCall(guest.Judged);
        MemoryResult result = machine.Contract.Freeze(ref guest.Memory, ref guest.Machine).Sound();
        guest.Port.Settle();
        machine.Judge.EndCall();
        machine.Story.Step?.Invoke($"{guest.Name} is frozen: {result}");
        machine.Story.Issued(guest.Port);
        if (!guest.Memory.IsFrozen || wasFrozen)
        {
            return;
        }

        foreach (Pa chunk in machine.World.ChunksOf(ref guest.Port.Records.Frames))
        {
            machine.Judge.Share(chunk, FramePool.ChunkBytes, isShared: true);
        }
    }

    /// <summary>Makes a child of a template, where the pool has the memory for its root.</summary>
    public void Fork(int slot, Guest<TFormat, TMachine> template)
    {
        if (!template.Memory.IsFrozen || template.Family.IsEnding
            || !TryBegin(slot, isPrivate: false, out Guest<TFormat, TMachine> guest))
        {
            return;
        }

        MemoryResult result = machine.Contract.Fork(
            ref guest.Machine, ref guest.Memory, ref template.Memory, machine.Pes.Vmids.VmidOf(in guest.Lease));
        if (result.Sound() != MemoryResult.Ok)
        {
            VmidAllocator.Abandon(ref guest.Lease);
            return;
        }

        template.Family.TryBear();
        guest.Template = template;
        guest.Anonymous = template.Anonymous;
        for (Region region = Region.Small; region <= Region.Block; region++)
        {
            guest.SlotOf(region) = template.SlotOf(region);
        }

        Begin(guest);
        machine.Guests[slot] = guest;
        machine.Story.Step?.Invoke($"{guest.Name} is forked from {template.Name}, VMID "
            + $"{machine.Pes.Vmids.VmidOf(in guest.Lease).Value}");
    }

    /// <summary>A child begins anew: the judge takes it for another VM under the same VMID.</summary>
    public void Reset(Guest<TFormat, TMachine> guest)
    {
        if (guest.Template is not { } template || guest.Memory.IsFrozen)
        {
            return;
        }

        machine.Pes.CommitFaults(guest);
        machine.Pes.LeaveAll(guest);
        machine.Story.Step?.Invoke($"{guest.Name} is reset to {template.Name}");
        guest.Port.Pe = machine.MonitorPe;
        guest.Unmapping = default;
        machine.Judge.BeginCall(guest.Judged);
        MemoryResult result = guest.Memory.Reset(ref guest.Machine, ref template.Memory).Sound();
        guest.Port.FindReturned();
        machine.Judge.EndCall();
        machine.Story.Issued(guest.Port);
        if (result == MemoryResult.Ok)
        {
            Begin(guest);
            System.Array.Clear(guest.Written);
            return;
        }

        machine.Contract.RetireVmid(ref machine.Pes.Vmids, ref guest.Lease, isInvalidated: true);
        End(guest);
    }

    /// <summary>
    /// A VM dies; its vCPUs are out before, or leave when the root goes or the VMID is invalidated. A template goes
    /// with its last child.
    /// </summary>
    public void Kill(Guest<TFormat, TMachine> guest, bool late)
    {
        bool waits = machine.Contract.WaitsForVcpus;
        machine.Pes.CommitFaults(guest);
        if (waits && !late)
        {
            machine.Pes.LeaveAll(guest);
        }

        if (guest.Memory.IsFrozen && !machine.Contract.EndsNow(ref guest.Family))
        {
            machine.Story.Step?.Invoke($"{guest.Name} is told to end, and goes with its last child");
            machine.Guests[guest.Slot] = null;
            machine.Ending++;
            return;
        }

        machine.Story.Step?.Invoke(
            $"{guest.Name} dies{(late ? " while PEs still have its VTTBR" : ", its vCPUs out")}");
        machine.Story.LeftOut(UnmapOperation.Release, default, PageFate.AnonymousLastMappingFreed);
        guest.Port.Pe = machine.MonitorPe;
        guest.Port.BeforeEnd = late && waits ? _ => machine.Pes.LeaveAll(guest) : null;
        Release(guest);
        machine.Pes.LeaveAll(guest);
        End(guest);
        machine.Story.Issued(guest.Port);
    }

    private void Release(Guest<TFormat, TMachine> guest)
    {
        System.Collections.Generic.List<Pa> shared = guest.Memory.IsFrozen
            ? machine.World.ChunksOf(ref guest.Port.Records.Frames) : [];
        machine.Judge.BeginCall(guest.Judged);
        ReleaseReport report = machine.Contract.Release(ref guest.Memory, ref guest.Machine).Sound();
        guest.Port.FindReturned();
        machine.Judge.EndCall();
        foreach (Pa chunk in shared)
        {
            machine.Judge.ReturnShared(chunk, FramePool.ChunkBytes);
        }

        machine.Contract.RetireVmid(ref machine.Pes.Vmids, ref guest.Lease, report.VmidIsInvalidated);
        foreach (ulong frame in (System.ReadOnlySpan<ulong>)[.. guest.Frames, .. guest.Copies])
        {
            if (frame != 0)
            {
                machine.Frames.Return(frame);
            }
        }
    }

    /// <summary>A VM is gone, and its template with it where it was the last child of one that is to end.</summary>
    private void End(Guest<TFormat, TMachine> guest)
    {
        machine.Guests[guest.Slot] = machine.Guests[guest.Slot] == guest ? null : machine.Guests[guest.Slot];
        if (guest.Template is { } template && template.Family.Leave())
        {
            machine.Ending--;
            machine.Story.Meanwhile($"{template.Name} goes with its last child");
            template.Port.Pe = machine.MonitorPe;
            Release(template);
            End(template);
        }
    }

    /// <summary>A VM that has no memory yet gets its records, its machine and a VMID.</summary>
    private bool TryBegin(int slot, bool isPrivate, out Guest<TFormat, TMachine> guest)
    {
        var records = new ModelVm();
        var port = new VmPort(machine.Judge, machine.World, records) { Pe = machine.MonitorPe };
        guest = new Guest<TFormat, TMachine>(machine.Options.Pes)
        {
            Slot = slot,
            Port = port,
            Name = string.Create(CultureInfo.InvariantCulture, $"VM {(char)('A' + slot)}{++_births}"),
            IsPrivate = isPrivate,
        };
        guest.Machine = make(
            new ObservedMachine<ModelMachine, JudgeObserver>(
                new ModelMachine(machine.World, records, machine.Options.Features), new JudgeObserver(port)),
            port);
        machine.Contract.Begins(ref port.Holders, hasOneVcpu: machine.Options.Vcpus == 1);
        return machine.Pes.TryBegin(guest);
    }

    /// <summary>The judge gets to know a VM's tables.</summary>
    private void Begin(Guest<TFormat, TMachine> guest)
    {
        Stage2Geometry geometry = guest.Memory.Geometry;
        var root = new Pa(guest.Memory.Vttbr & ((1UL << 48) - 1));
        guest.Judged = machine.Judge.AddVm(guest.Name, root, geometry.RootTables, geometry.StartLevel);
        guest.Port.Vm = guest.Judged;
    }

    /// <summary>An idle PE zeroes a dirty chunk, if there is one.</summary>
    public void Scrub(Guest<TFormat, TMachine> guest)
    {
        guest.Port.Pe = machine.MonitorPe;
        ScrubJob job = default;
        if (!job.TryBegin(ref guest.Machine))
        {
            return;
        }

        do
        {
            machine.Contract.ZeroPart(ref guest.Machine, in job);
        }
        while (!job.Clean(ref guest.Machine));
        machine.Story.Step?.Invoke("an idle PE scrubs a chunk");
    }

    private static void AddSlot(Guest<TFormat, TMachine> guest, Region region, SlotOptions options) =>
        guest.Memory.AddSlot(
            new Ipa(Places<TFormat>.StartOf(region)), Places<TFormat>.BytesOf(region), options,
            out guest.SlotOf(region));

    private static SlotOptions HostSlot(PageFate fate) =>
        new(SlotBacking.Host, PageSizing.Auto, MemoryType.NormalWriteBack, false, fate);
}
