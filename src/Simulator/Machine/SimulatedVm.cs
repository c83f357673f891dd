using System;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// A VM's memory on a simulated server: the engine itself, over <see cref="SimulatedMachine"/>. Whoever drives it names
/// the host's pages: a <see cref="Host"/>, or a trace that is played again.
/// </summary>
public sealed class SimulatedVm
{
    /// <summary>Guest-physical addresses have 40 bits, KVM's default; more only where a slot needs them.</summary>
    public const int DefaultIpaBits = 40;

    internal VmFrames Frames;
    internal readonly TableMemory Tables;

    private GuestMemory<Arm4K, SimulatedMachine> _memory;
    private SimulatedMachine _machine;
    private int _pe;

    /// <param name="server">The server that it runs on.</param>
    /// <param name="policy">Which maintenance is issued.</param>
    /// <param name="ipaBits">Size of its guest-physical addresses, 32 to 44.</param>
    /// <param name="guestMayHaveUncachedAlias">See <see cref="ElisionFacts"/>; true unless it is known better.</param>
    /// <exception cref="SimulationException">
    /// The server has no room for tables, or there is no such geometry.
    /// </exception>
    public SimulatedVm(
        SimulatedServer server, MaintenancePolicy policy, int ipaBits = DefaultIpaBits,
        bool guestMayHaveUncachedAlias = true)
    {
        Server = server;
        Tables = server.Tables;
        Meter = server.MeterOf(0);
        _machine = new SimulatedMachine(this);
        const int paBits = 44;
        if (!Stage2Geometry.TryCreate<Arm4K>(ipaBits, paBits, out Stage2Geometry geometry))
        {
            throw new SimulationException(
                $"there is no Stage-2 table for {ipaBits} bits of guest-physical addresses", "Take 32 to 44.");
        }

        MemoryResult created = GuestMemory<Arm4K, SimulatedMachine>.Create(
            ref _machine, ref _memory, new GuestMemoryOptions(geometry, policy, guestMayHaveUncachedAlias),
            server.NextVmid(Meter));
        if (created != MemoryResult.Ok)
        {
            throw new SimulationException(
                $"the VM's root table could not be made ({created})", "Give the server more memory for tables.");
        }
    }

    /// <summary>The server that it runs on.</summary>
    public SimulatedServer Server { get; }

    /// <summary>The PE that works for this VM now: its meter runs. Calls may come from another each time.</summary>
    public int Pe
    {
        get => _pe;
        set
        {
            Meter = Server.MeterOf(value);
            _pe = value;
        }
    }

    /// <summary>Whether it has a table: until <see cref="Release"/>.</summary>
    public bool Exists => _memory.Exists;

    /// <summary>Its policy; may change at any time.</summary>
    public MaintenancePolicy Policy
    {
        get => _memory.Policy;
        set => _memory.Policy = value;
    }

    /// <summary>4 KB pages mapped now.</summary>
    public ulong MappedPages => _memory.MappedPages;

    /// <summary>2 MB blocks mapped now.</summary>
    public ulong MappedBlocks => _memory.MappedBlocks;

    /// <summary>Table pages, the root's included.</summary>
    public ulong TablePages => _memory.TablePages;

    /// <summary>What the working PE has issued since the server's start.</summary>
    public Bill Bill => Meter.Read();

    internal Meter Meter { get; private set; }

    /// <summary>The engine, for calls that this type does not have.</summary>
    internal ref GuestMemory<Arm4K, SimulatedMachine> Memory => ref _memory;

    /// <summary>The machine to hand to the engine.</summary>
    internal ref SimulatedMachine Machine => ref _machine;

    /// <summary>Adds a slot of host memory. Nothing is mapped yet.</summary>
    /// <param name="start">First guest-physical address.</param>
    /// <param name="bytes">Its size; both multiples of 4 KB.</param>
    /// <param name="fateAtRemoval">What becomes of its pages when the slot, or the VM, goes.</param>
    /// <param name="isReadOnly">Guest writes are refused.</param>
    /// <returns>Its number.</returns>
    /// <exception cref="SimulationException">The slot does not fit.</exception>
    public int AddSlot(Ipa start, ulong bytes, PageFate fateAtRemoval, bool isReadOnly = false)
    {
        var options = new SlotOptions(
            SlotBacking.Host, PageSizing.Auto, MemoryType.NormalWriteBack, isReadOnly, fateAtRemoval);
        MemoryResult result = _memory.AddSlot(start, bytes, options, out int number);
        return result == MemoryResult.Ok
            ? number
            : throw new SimulationException(
                $"no slot at {start.Value:x} of {bytes} bytes ({result})", "Slots are aligned and do not overlap.");
    }

    /// <summary>
    /// A guest's fault, answered at once with a page that the host has: what a trace's map event is. The fault's price
    /// is counted, and what the engine issues.
    /// </summary>
    /// <param name="ipa">The faulting address.</param>
    /// <param name="page">The host's page, aligned to its size.</param>
    /// <param name="level">Its size as the level of the leaf: 3, 2 or 1.</param>
    /// <param name="access">What the guest tried.</param>
    /// <param name="isWritable">Whether the host's own mapping is writable.</param>
    public FaultResult MapHostPage(
        Ipa ipa, Pa page, int level, AccessKind access = AccessKind.Write, bool isWritable = true)
    {
        FaultResult result = BeginFault(ipa, access, out FaultTicket ticket);
        if (result != FaultResult.NeedsHostPage)
        {
            return result;
        }

        ticket.Supply(page, level, isWritable);
        return CommitFault(ref ticket);
    }

    /// <summary>The host changes a range, in one call: begin, unmap, end.</summary>
    public MemoryResult Notify(in NotifierRange range)
    {
        Meter.Calls++;
        return _memory.UnmapRange(ref _machine, in range);
    }

    /// <summary>The host begins to change a range: faults on it retry until <see cref="EndNotify"/>.</summary>
    public MemoryResult BeginNotify(in NotifierRange range)
    {
        Meter.Calls++;
        InvalidationCursor cursor = default;
        MemoryResult result = _memory.BeginInvalidation(ref _machine, in range, ref cursor);
        while (result == MemoryResult.Again)
        {
            result = _memory.ContinueInvalidation(ref _machine, in range, ref cursor);
        }

        return result;
    }

    /// <summary>The host's change is done.</summary>
    public MemoryResult EndNotify() => _memory.EndInvalidation();

    /// <summary>The host replaces a mapped page by another (the notifier's change_pte).</summary>
    public MemoryResult ReplacePage(Ipa ipa, Pa page) => _memory.ReplaceHostPage(ref _machine, ipa, page);

    /// <summary>Removes a slot from the live VM.</summary>
    public MemoryResult RemoveSlot(int number)
    {
        Meter.Calls++;
        return _memory.RemoveSlot(ref _machine, number);
    }

    /// <summary>
    /// The VM is dead (the notifier's release callback): everything goes, under its policy. No vCPU runs any more.
    /// </summary>
    public ReleaseReport Release()
    {
        Meter.Calls++;
        return _memory.Release(ref _machine);
    }

    /// <summary>What the table says about an address. Counts as a walk.</summary>
    public Translation Translate(Ipa ipa) => _memory.Translate(ref _machine, ipa);

    /// <summary>Shows every leaf of a range, in ascending order. For checks: the meter stands still.</summary>
    public void Visit<TVisitor>(Ipa start, ulong bytes, ref TVisitor visitor)
        where TVisitor : struct, ILeafVisitor
    {
        Meter working = Meter;
        Meter = new Meter(working.Pe, working.Socket, Server.Prices);
        _ = _memory.Visit(ref _machine, start, bytes, ref visitor);
        Meter = working;
    }

    internal FaultResult BeginFault(
        Ipa ipa, AccessKind access, out FaultTicket ticket,
        int faultLevel = GuestMemory<Arm4K, SimulatedMachine>.UnknownLevel)
    {
        FaultResult result = _memory.PrepareFault(ref _machine, ipa, access, out ticket, faultLevel);
        if (result != FaultResult.Mapped)
        {
            Meter.Faults++;
        }

        return result;
    }

    internal FaultResult CommitFault(ref FaultTicket ticket) => _memory.CommitFault(ref _machine, ref ticket);
}
