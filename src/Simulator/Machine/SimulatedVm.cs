using System;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// A VM's memory on a simulated server: the engine itself, over <see cref="SimulatedMachine"/>. Its driver names
/// the host's pages: a <see cref="Host"/>, or a trace that is played again.
/// </summary>
public sealed class SimulatedVm : IMemoryHook
{
    /// <summary>Guest-physical addresses have 40 bits, KVM's default; more only where a slot needs them.</summary>
    public const int DefaultIpaBits = 40;

    internal VmFrames Frames;
    internal readonly TableMemory Tables;

    private readonly VmEngine _engine;
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
        if (!Stage2Geometry.TryCreate<Arm<Granule4K>>(ipaBits, paBits, out Stage2Geometry geometry))
        {
            throw new SimulationException(
                $"there is no Stage-2 table for {ipaBits} bits of guest-physical addresses", "Take 32 to 44.");
        }

        _engine = server.Layer.Make(this, _machine);
        MemoryResult created = _engine.Create(
            new GuestMemoryOptions(geometry, policy, guestMayHaveUncachedAlias), server.NextVmid(Meter));
        if (created != MemoryResult.Ok)
        {
            throw new SimulationException(
                $"the VM's root table could not be made ({created})", "Give the server more memory for tables.");
        }

        server.Listener?.Created(this);
    }

    /// <summary>A template's child.</summary>
    private SimulatedVm(SimulatedVm template)
    {
        Server = template.Server;
        Tables = Server.Tables;
        _pe = template._pe;
        Meter = Server.MeterOf(_pe);
        _machine = new SimulatedMachine(this);
        _engine = Server.Layer.Make(this, _machine);
        Meter.Calls++;
        MemoryResult forked = _engine.Fork(template._engine, Server.NextVmid(Meter));
        if (forked != MemoryResult.Ok)
        {
            throw new SimulationException($"the VM cannot be forked ({forked})", "Freeze it first, under fate.");
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
    public bool Exists => _engine.Exists;

    /// <summary>The shape of its tables.</summary>
    public Stage2Geometry Geometry => _engine.Geometry;

    /// <summary>VTTBR_EL2 of a PE that runs it: root table and VMID.</summary>
    public ulong Vttbr => _engine.Vttbr;

    /// <summary>Its VMID.</summary>
    public Vmid Vmid => _engine.Vmid;

    /// <summary>Its policy; may change at any time.</summary>
    public MaintenancePolicy Policy
    {
        get => _engine.Policy;
        set => _engine.Policy = value;
    }

    /// <summary>4 KB pages mapped now.</summary>
    public ulong MappedPages => _engine.MappedPages;

    /// <summary>2 MB blocks mapped now.</summary>
    public ulong MappedBlocks => _engine.MappedBlocks;

    /// <summary>Table pages, the root's included.</summary>
    public ulong TablePages => _engine.TablePages;

    /// <summary>What the working PE has issued since the server's start.</summary>
    public Bill Bill => Meter.Read();

    internal Meter Meter { get; private set; }

    /// <summary>The machine itself, for tables of one's own.</summary>
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
        return Add(start, bytes, options);
    }

    /// <summary>
    /// Adds a slot of memory out of the server's own pool, in chunks, as the hypervisor gives it to its guests.
    /// </summary>
    /// <param name="start">First guest-physical address.</param>
    /// <param name="bytes">Its size; both multiples of 4 KB.</param>
    /// <param name="sizing">In what sizes it is mapped.</param>
    /// <returns>Its number.</returns>
    /// <exception cref="SimulationException">The slot does not fit.</exception>
    public int AddPoolSlot(Ipa start, ulong bytes, PageSizing sizing) => Add(start, bytes, SlotOptions.Ram(sizing));

    private int Add(Ipa start, ulong bytes, SlotOptions options)
    {
        MemoryResult result = _engine.AddSlot(start, bytes, options, out int number);
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
        Server.Listener?.BeginsCall(this);
        MemoryResult result = _engine.UnmapRange(in range);
        Server.Listener?.EndsCall(this);
        return result;
    }

    /// <summary>The host begins to change a range: faults on it retry until <see cref="EndNotify"/>.</summary>
    public MemoryResult BeginNotify(in NotifierRange range)
    {
        Meter.Calls++;
        Server.Listener?.BeginsCall(this);
        MemoryResult result = _engine.BeginInvalidation(in range);
        Server.Listener?.EndsCall(this);
        return result;
    }

    /// <inheritdoc/>
    int IMemoryHook.LargestLeaf => 1;

    /// <inheritdoc/>
    MemoryResult IMemoryHook.BeginNotify(in NotifierRange range, out bool owesFlush)
    {
        // Stage-2 unmapping pays for its invalidations before it returns.
        owesFlush = false;
        return BeginNotify(in range);
    }

    /// <inheritdoc/>
    bool IMemoryHook.OwesFlushElsewhere(NotifierEvent why) => false;

    /// <inheritdoc/>
    void IMemoryHook.FlushRemote()
    {
    }

    /// <inheritdoc/>
    bool IMemoryHook.IsMapped(Ipa ipa, AccessKind access)
    {
        Translation translation = Translate(ipa);
        return translation.IsMapped && (access != AccessKind.Write || translation.Attributes.Write);
    }

    /// <inheritdoc/>
    void IMemoryHook.Release() => Release();

    /// <summary>The host's change is done.</summary>
    public MemoryResult EndNotify() => _engine.EndInvalidation();

    /// <summary>Removes a slot from the live VM.</summary>
    public MemoryResult RemoveSlot(int number)
    {
        Meter.Calls++;
        Server.Listener?.BeginsCall(this);
        MemoryResult result = _engine.RemoveSlot(number);
        Server.Listener?.EndsCall(this);
        return result;
    }

    /// <summary>
    /// The VM is dead (the notifier's release callback): everything goes, under its policy. No vCPU runs any more. Its
    /// VMID is given to the next VM where all of it was invalidated.
    /// </summary>
    public ReleaseReport Release()
    {
        Meter.Calls++;
        Vmid vmid = _engine.Vmid;
        Server.Listener?.BeginsCall(this);
        ReleaseReport report = _engine.Release();
        Server.Listener?.EndsCall(this);
        if (report.VmidIsInvalidated)
        {
            Server.RetireVmid(vmid);
        }

        return report;
    }

    /// <summary>Makes it a template, for good (<see cref="GuestMemory{TFormat, TMachine}.Freeze"/>).</summary>
    public MemoryResult Freeze()
    {
        Meter.Calls++;
        return _engine.Freeze();
    }

    /// <summary>
    /// A child of this template, on the PE that works for the template now; the checker of a listener does not know it.
    /// </summary>
    /// <exception cref="SimulationException">It is no template, or there is no room for a root table.</exception>
    public SimulatedVm Fork() => new(this);

    /// <summary>Puts a child back to its template's state, under the same VMID.</summary>
    /// <param name="template">The VM that it was forked from.</param>
    public MemoryResult Reset(SimulatedVm template)
    {
        Meter.Calls++;
        return _engine.Reset(template._engine);
    }

    /// <summary>A guest's fault on memory out of the pool.</summary>
    public FaultResult MapPoolPage(Ipa ipa, AccessKind access = AccessKind.Write)
    {
        Meter.Faults++;
        Server.Listener?.BeginsCall(this);
        FaultResult result = _engine.HandleFault(ipa, access);
        Server.Listener?.EndsCall(this);
        return result;
    }

    /// <summary>An idle PE overwrites one dirty chunk of the pool; false when there is none.</summary>
    public bool Scrub() => _engine.Scrub();

    /// <summary>What the table says about an address. Counts as a walk.</summary>
    public Translation Translate(Ipa ipa) => _engine.Translate(ipa);

    /// <summary>Shows every leaf of a range, in ascending order. For checks: the meter stands still.</summary>
    public void Visit<TVisitor>(Ipa start, ulong bytes, ref TVisitor visitor)
        where TVisitor : struct, ILeafVisitor
    {
        Meter working = Meter;
        Meter = new Meter(working.Pe, working.Socket, Server.Prices);
        _engine.Visit(start, bytes, ref visitor);
        Meter = working;
    }

    internal FaultResult BeginFault(
        Ipa ipa, AccessKind access, out FaultTicket ticket, int faultLevel = VmEngine.UnknownLevel)
    {
        Server.Listener?.BeginsCall(this);
        FaultResult result = _engine.PrepareFault(ipa, access, out ticket, faultLevel);
        Server.Listener?.EndsCall(this);
        if (result != FaultResult.Mapped)
        {
            Meter.Faults++;
        }

        return result;
    }

    internal FaultResult CommitFault(ref FaultTicket ticket)
    {
        Server.Listener?.BeginsCall(this);
        FaultResult result = _engine.CommitFault(ref ticket);
        Server.Listener?.EndsCall(this);
        return result;
    }
}
