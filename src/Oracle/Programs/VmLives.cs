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
        var records = new ModelVm();
        var port = new VmPort(machine.Judge, machine.World, records) { Pe = machine.MonitorPe };
        var guest = new Guest<TFormat, TMachine>(options.Pes)
        {
            Slot = slot,
            Port = port,
            Name = string.Create(CultureInfo.InvariantCulture, $"VM {(char)('A' + slot)}{++_births}"),
            IsPrivate = isPrivate,
        };
        guest.Machine = make(
            new ObservedMachine<ModelMachine, JudgeObserver>(
                new ModelMachine(machine.World, records, options.Features), new JudgeObserver(port)),
            port);
        if (!machine.Pes.TryBegin(guest))
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

        var root = new Pa(guest.Memory.Vttbr & ((1UL << 48) - 1));
        guest.Judged = machine.Judge.AddVm(guest.Name, root, geometry.RootTables, geometry.StartLevel);
        port.Vm = guest.Judged;
        guest.Anonymous = machine.Judge.AddParty("the memory of " + guest.Name + "'s VMM");
        AddSlot(guest, Region.Small, SlotOptions.Ram(PageSizing.Pages));
        AddSlot(guest, Region.Block, SlotOptions.Ram(PageSizing.Auto));
        AddSlot(guest, Region.File, HostSlot(PageFate.FileBacked));
        AddSlot(guest, Region.Anonymous, HostSlot(PageFate.AnonymousLastMappingFreed));
        AddSlot(guest, Region.Huge, HostSlot(PageFate.FileBacked));
        machine.Guests[slot] = guest;
        machine.Story.Step?.Invoke($"{guest.Name} is made, VMID {machine.Pes.Vmids.VmidOf(in guest.Lease).Value}");
    }

    /// <summary>A VM dies; its vCPUs are out before, or leave when the root goes or the VMID is invalidated.</summary>
    public void Kill(Guest<TFormat, TMachine> guest, bool late)
    {
        bool waits = machine.Contract.WaitsForVcpus;
        machine.Pes.CommitFaults(guest);
        if (waits && !late)
        {
            machine.Pes.LeaveAll(guest);
        }

        machine.Story.Step?.Invoke(
            $"{guest.Name} dies{(late ? " while PEs still have its VTTBR" : ", its vCPUs out")}");
        machine.Story.LeftOut(UnmapOperation.Release, default, PageFate.AnonymousLastMappingFreed);
        guest.Port.Pe = machine.MonitorPe;
        guest.Port.BeforeEnd = late && waits ? _ => machine.Pes.LeaveAll(guest) : null;
        machine.Judge.BeginCall(guest.Judged);
        ReleaseReport report = machine.Contract.Release(ref guest.Memory, ref guest.Machine).Sound();
        guest.Port.FindReturned();
        machine.Judge.EndCall();
        machine.Contract.RetireVmid(ref machine.Pes.Vmids, ref guest.Lease, report.VmidIsInvalidated);
        foreach (ulong frame in (System.ReadOnlySpan<ulong>)[.. guest.Frames, .. guest.Copies])
        {
            if (frame != 0)
            {
                machine.Frames.Return(frame);
            }
        }

        machine.Pes.LeaveAll(guest);
        machine.Guests[guest.Slot] = null;
        machine.Story.Issued(guest.Port);
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
