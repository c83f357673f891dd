using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Simulator;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>A part of a guest's memory as its architecture maps it.</summary>
/// <param name="Gpa">The first guest-physical address.</param>
/// <param name="Frame">Where it leads.</param>
/// <param name="Bytes">How much.</param>
/// <param name="IsWritable">Whether the guest may write.</param>
public readonly record struct GuestLeaf(ulong Gpa, ulong Frame, ulong Bytes, bool IsWritable);

/// <summary>
/// A guest's memory on one architecture, behind the hook: slots, the count of invalidations in progress, what is owed,
/// and what is counted. How entries look and how they are invalidated is each architecture's.
/// </summary>
public abstract class GuestHook : IMemoryHook
{
    private const ulong Granule = 4096;

    private readonly Dictionary<int, Slot> _slots = [];
    private int _nextSlot;
    private int _inProgress;

    /// <summary>Before Linux 5.5's series, or what is chosen instead.</summary>
    private protected GuestHook(GuestOptions options)
    {
        if (Architecture.Of(options.Machine).WhyNot(options.Policy, options.Machine) is { } refusal)
        {
            throw new SimulationException(refusal.Problem, refusal.Remedy);
        }

        Options = options;
        Exists = true;
    }

    /// <summary>A slot: where it lies, and what becomes of its pages when it goes.</summary>
    private protected readonly record struct Slot(ulong Start, ulong Bytes, PageFate Fate)
    {
        internal ulong End => Start + Bytes;
    }

    /// <summary>The machine, the policy, the vCPUs.</summary>
    public GuestOptions Options { get; }

    /// <summary>What it has done since it was made.</summary>
    public HookMeter Meter { get; } = new();

    /// <inheritdoc/>
    public bool Exists { get; private set; }

    /// <inheritdoc/>
    public MaintenancePolicy Policy => Options.Policy;

    /// <inheritdoc/>
    public int Pe { get; set; }

    /// <summary>Table pages, the root's included; 0 where an architecture has none.</summary>
    public abstract long Tables { get; }

    private protected MachinePreset Machine => Options.Machine;

    private protected int Vcpus => Options.Vcpus;

    private protected FlushGuard? Guard => Options.Guard;

    /// <summary>Linux 5.5, or one of its patches alone: not what we make of it.</summary>
    private protected bool IsAsIn55 => Policy == MaintenancePolicy.BeforeSeries;

    private protected IEnumerable<Slot> Slots => _slots.Values;

    /// <summary>The largest leaf, as a level of the host's pages: 1 for 1 GB, 2 for 2 MB, 3 for 4 KB.</summary>
    internal abstract int LargestLeaf { get; }

    int IMemoryHook.LargestLeaf => LargestLeaf;

    /// <summary>Everything that is mapped, in ascending order.</summary>
    public IEnumerable<GuestLeaf> Leaves() => Exists ? AllLeaves() : [];

    /// <inheritdoc/>
    public int AddSlot(Ipa start, ulong bytes, PageFate fateAtRemoval, bool isReadOnly = false)
    {
        if (bytes == 0 || !start.IsAlignedTo(Granule) || bytes % Granule != 0 || isReadOnly
            || _slots.Values.Any(slot => start.Value < slot.End && slot.Start < start.Value + bytes))
        {
            throw new SimulationException(
                $"no slot at {start.Value:x} of {bytes} bytes", "Slots are aligned, writable, and do not overlap.");
        }

        var slot = new Slot(start.Value, bytes, fateAtRemoval);
        _slots.Add(_nextSlot, slot);
        OnSlotAdded(slot);
        return _nextSlot++;
    }

    /// <inheritdoc/>
    public MemoryResult RemoveSlot(int number)
    {
        if (!Exists || !_slots.TryGetValue(number, out Slot slot))
        {
            return Exists ? MemoryResult.NoSuchSlot : MemoryResult.NoMemory;
        }

        Meter.Add(HookOperation.Call);
        if (DropSlot(slot))
        {
            FlushRemote();
        }

        Guard?.HostChanged();
        _slots.Remove(number);
        return MemoryResult.Ok;
    }

    /// <inheritdoc/>
    public MemoryResult BeginNotify(in NotifierRange range, out bool owesFlush)
    {
        owesFlush = false;
        if (!Exists)
        {
            return MemoryResult.NoMemory;
        }

        if (!range.Start.IsAlignedTo(Granule) || !range.End.IsAlignedTo(Granule))
        {
            return MemoryResult.Misaligned;
        }

        if (range.Start >= range.End)
        {
            return MemoryResult.OutOfRange;
        }

        Meter.Add(HookOperation.Call);
        _inProgress++;
        owesFlush = Unmap(in range);
        return MemoryResult.Ok;
    }

    /// <inheritdoc/>
    public bool OwesFlushElsewhere(NotifierEvent why)
    {
        Meter.Add(HookOperation.Call);
        return FlushesElsewhere;
    }

    /// <inheritdoc/>
    public void FlushRemote() => Flush();

    /// <inheritdoc/>
    public MemoryResult EndNotify()
    {
        if (_inProgress == 0)
        {
            return MemoryResult.BadArgument;
        }

        _inProgress--;
        Guard?.HostChanged();
        return MemoryResult.Ok;
    }

    /// <inheritdoc/>
    public FaultResult MapHostPage(Ipa ipa, Pa page, int level, AccessKind access, bool isWritable)
    {
        if (!Exists)
        {
            return FaultResult.NoMemory;
        }

        if (!_slots.Values.Any(slot => ipa.Value >= slot.Start && ipa.Value < slot.End))
        {
            return FaultResult.NoSlot;
        }

        if (_inProgress != 0)
        {
            return FaultResult.Retry;
        }

        ulong bytes = Granule << ((3 - level) * 9);
        if (level is < 1 or > 3 || !page.IsAlignedTo(bytes))
        {
            return FaultResult.BadPage;
        }

        Map(ipa.Value, page.Value, level, isWritable);
        return FaultResult.Mapped;
    }

    /// <inheritdoc/>
    public abstract bool IsMapped(Ipa ipa, AccessKind access);

    /// <summary>
    /// Clears what says that a range was accessed, and tells whether anything did. True in <paramref name="owesFlush"/>
    /// where 5.5's core flushed for it (kvm_mmu_notifier_clear_flush_young).
    /// </summary>
    public abstract bool Age(Ipa start, ulong bytes, out bool owesFlush);

    /// <inheritdoc/>
    public void Release()
    {
        if (!Exists)
        {
            return;
        }

        Meter.Add(HookOperation.Call);
        Die();
        _slots.Clear();
        Exists = false;
    }

    private protected abstract IEnumerable<GuestLeaf> AllLeaves();

    /// <summary>Whether a notifier's call that touches no slot is answered by a flush.</summary>
    private protected virtual bool FlushesElsewhere => false;

    /// <summary>Room for what is kept by slot.</summary>
    private protected virtual void OnSlotAdded(Slot slot)
    {
    }

    /// <summary>
    /// Takes away what the range's event asks for. True: cores may still use it, and <see cref="Flush"/> is owed.
    /// </summary>
    private protected abstract bool Unmap(in NotifierRange range);

    /// <summary>Takes a slot's memory away, from a guest that lives on. True: a flush is owed.</summary>
    private protected abstract bool DropSlot(Slot slot);

    /// <summary>Flushes, waits, and then gives back the tables that were unlinked before.</summary>
    private protected abstract void Flush();

    /// <summary>Maps the host's page around an address, or as much of it as one entry takes.</summary>
    private protected abstract void Map(ulong ipa, ulong frame, int level, bool isWritable);

    /// <summary>The guest is dead: no core runs it, and everything goes.</summary>
    private protected abstract void Die();

    /// <summary>
    /// Whether the event leaves every page readable where it is, so that what the guest may write is all that changes.
    /// <para>
    /// licence: copy-on-write at fork, write-back and soft-dirty take nothing but the right to write (mm/memory.c,
    /// mm/rmap.c, fs/proc/task_mmu.c of 5.5). mprotect does not, PROT_NONE takes reading too, and its event is another.
    /// </para>
    /// </summary>
    private protected static bool TakesOnlyWriting(in NotifierRange range) =>
        range.Event is NotifierEvent.ProtectionPage or NotifierEvent.SoftDirty
        && range.Fate == PageFate.StaysInPlace;

    /// <summary>Interrupts every vCPU's core.</summary>
    private protected void InterruptVcpus() => Meter.Add(HookOperation.Ipi, Vcpus);
}

/// <summary>What a guest is made with.</summary>
/// <param name="Machine">The machine, whose preset names the architecture.</param>
/// <param name="Policy">What it leaves out.</param>
/// <param name="Vcpus">vCPUs, each on a core of its own.</param>
/// <param name="Guard">Looks for what is freed too early; none when not given.</param>
public sealed record GuestOptions(
    MachinePreset Machine, MaintenancePolicy Policy, int Vcpus = 4, FlushGuard? Guard = null)
{
    /// <summary>
    /// Maps base pages only, whatever the host's pages are, as while dirty pages are logged.
    /// </summary>
    public bool BasePagesOnly { get; init; }
}
