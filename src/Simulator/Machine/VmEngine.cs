using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// The engine of one VM, whatever its machine is: one virtual call for a fault or a range, none for what the engine
/// issues meanwhile.
/// </summary>
internal abstract class VmEngine
{
    /// <summary>Of a fault whose level is not known.</summary>
    internal const int UnknownLevel = GuestMemory<Arm<Granule4K>, SimulatedMachine>.UnknownLevel;

    internal abstract bool Exists { get; }

    internal abstract Stage2Geometry Geometry { get; }

    internal abstract ulong Vttbr { get; }

    internal abstract Vmid Vmid { get; }

    internal abstract MaintenancePolicy Policy { get; set; }

    internal abstract ulong MappedPages { get; }

    internal abstract ulong MappedBlocks { get; }

    internal abstract ulong TablePages { get; }

    internal abstract MemoryResult Create(GuestMemoryOptions options, Vmid vmid);

    internal abstract MemoryResult AddSlot(Ipa start, ulong bytes, SlotOptions options, out int number);

    internal abstract MemoryResult RemoveSlot(int number);

    internal abstract FaultResult HandleFault(Ipa ipa, AccessKind access);

    internal abstract FaultResult PrepareFault(Ipa ipa, AccessKind access, out FaultTicket ticket, int faultLevel);

    internal abstract FaultResult CommitFault(ref FaultTicket ticket);

    internal abstract MemoryResult UnmapRange(in NotifierRange range);

    internal abstract MemoryResult BeginInvalidation(in NotifierRange range);

    internal abstract MemoryResult EndInvalidation();

    internal abstract ReleaseReport Release();

    internal abstract Translation Translate(Ipa ipa);

    internal abstract void Visit<TVisitor>(Ipa start, ulong bytes, ref TVisitor visitor)
        where TVisitor : struct, ILeafVisitor;

    /// <summary>Overwrites one dirty chunk of the pool; false when there is none.</summary>
    internal abstract bool Scrub();

    internal abstract MemoryResult Freeze();

    /// <summary>Makes this engine's memory a child's.</summary>
    /// <param name="template">Of a VM of the same server.</param>
    /// <param name="vmid">The child's.</param>
    internal abstract MemoryResult Fork(VmEngine template, Vmid vmid);

    internal abstract MemoryResult Reset(VmEngine template);
}

/// <summary>The engine over one machine.</summary>
internal sealed class VmEngine<TMachine>(TMachine own) : VmEngine
    where TMachine : struct, IMemoryMachine
{
    private TMachine _machine = own;
    private GuestMemory<Arm<Granule4K>, TMachine> _memory;

    internal override bool Exists => _memory.Exists;

    internal override Stage2Geometry Geometry => _memory.Geometry;

    internal override ulong Vttbr => _memory.Vttbr;

    internal override Vmid Vmid => _memory.Vmid;

    internal override MaintenancePolicy Policy
    {
        get => _memory.Policy;
        set => _memory.Policy = value;
    }

    internal override ulong MappedPages => _memory.MappedPages;

    internal override ulong MappedBlocks => _memory.MappedBlocks;

    internal override ulong TablePages => _memory.TablePages;

    internal override MemoryResult Create(GuestMemoryOptions options, Vmid vmid) =>
        GuestMemory<Arm<Granule4K>, TMachine>.Create(ref _machine, ref _memory, options, vmid);

    internal override MemoryResult AddSlot(Ipa start, ulong bytes, SlotOptions options, out int number) =>
        _memory.AddSlot(start, bytes, options, out number);

    internal override MemoryResult RemoveSlot(int number) => _memory.RemoveSlot(ref _machine, number);

    internal override FaultResult HandleFault(Ipa ipa, AccessKind access) =>
        _memory.HandleFault(ref _machine, ipa, access);

    internal override FaultResult PrepareFault(
        Ipa ipa, AccessKind access, out FaultTicket ticket, int faultLevel) =>
        _memory.PrepareFault(ref _machine, ipa, access, out ticket, faultLevel);

    internal override FaultResult CommitFault(ref FaultTicket ticket) => _memory.CommitFault(ref _machine, ref ticket);

    internal override MemoryResult UnmapRange(in NotifierRange range) => _memory.UnmapRange(ref _machine, in range);

    internal override MemoryResult BeginInvalidation(in NotifierRange range)
    {
        InvalidationCursor cursor = default;
        MemoryResult result = _memory.BeginInvalidation(ref _machine, in range, ref cursor);
        while (result == MemoryResult.Again)
        {
            result = _memory.ContinueInvalidation(ref _machine, in range, ref cursor);
        }

        return result;
    }

    internal override MemoryResult EndInvalidation() => _memory.EndInvalidation();

    internal override ReleaseReport Release() => _memory.Release(ref _machine);

    internal override Translation Translate(Ipa ipa) => _memory.Translate(ref _machine, ipa);

    internal override void Visit<TVisitor>(Ipa start, ulong bytes, ref TVisitor visitor) =>
        _ = _memory.Visit(ref _machine, start, bytes, ref visitor);

    internal override MemoryResult Freeze() => _memory.Freeze(ref _machine);

    internal override MemoryResult Fork(VmEngine template, Vmid vmid) => GuestMemory<Arm<Granule4K>, TMachine>.Fork(
        ref _machine, ref _memory, ref ((VmEngine<TMachine>)template)._memory, vmid);

    internal override MemoryResult Reset(VmEngine template) =>
        _memory.Reset(ref _machine, ref ((VmEngine<TMachine>)template)._memory);

    internal override bool Scrub()
    {
        ScrubJob job = default;
        if (!job.TryBegin(ref _machine))
        {
            return false;
        }

        do
        {
            job.Zero(ref _machine);
        }
        while (!job.Clean(ref _machine));
        return true;
    }
}
