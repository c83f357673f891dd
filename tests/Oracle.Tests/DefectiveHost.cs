using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Stage2;

namespace Quietus.Oracle.Tests;

/// <summary>A host, or a monitor, that breaks one of its contracts: what drives the engine is wrong.</summary>
internal sealed class DefectiveHost(Defect defect) : HostContract<Arm<Granule4K>, DefectiveMachine>
{
    private const int EntryShift = 3;
    private const int BlockShift = 21;
    private const int RootShift = 30;
    private const ulong BlockBytes = 1UL << BlockShift;
    private const ulong AddressMask = 0xFFFF_FFFF_F000;

    /// <summary>A VMID that has been given on, and is to be invalidated still; 0 for none.</summary>
    private Vmid _late;

    private bool _isDying;
    private bool _hasOneVcpu;

    /// <summary>Where each vCPU was last, by its VM's slot.</summary>
    private readonly Dictionary<(int Slot, int Vcpu), int> _pes = [];

    /// <summary>A share that was found and is to be broken: the address, the page, and its leaf's attributes.</summary>
    private (ulong Ipa, ulong Shared, LeafAttributes Attributes) _toBreak;

    /// <summary>The allocator's invalidation of everything is under way, and not complete.</summary>
    public bool IsRollingOver { get; set; }

    public override bool InvalidatesAtBoot => defect != Defect.EntriesLeftAtBoot;

    public override void Begins(ref TlbHolders holders, bool hasOneVcpu)
    {
        _hasOneVcpu = hasOneVcpu;
        base.Begins(ref holders, hasOneVcpu || defect == Defect.LocalBreakOfTwoVcpus);
    }

    public override void Loads(ref TlbHolders holders, int pe)
    {
        if (defect == Defect.LastPeForgotten && _hasOneVcpu)
        {
            // Where the vCPU has been before, and what was kept there, does not count.
            holders.Initialize(hasOneVcpu: true);
        }

        base.Loads(ref holders, pe);
    }

    public override bool WaitsForVcpus => defect != Defect.FramesReusedWhileVcpuRuns;

    public override PageFate Claim(PageFate fate) => fate switch
    {
        // A page of a file taken for one that is freed, and one that another VM maps.
        PageFate.FileBacked when defect == Defect.FileUnmapWithoutCaches => PageFate.AnonymousLastMappingFreed,
        PageFate.StillMappedElsewhere when defect == Defect.SharedUnmapWithoutCaches =>
            PageFate.AnonymousLastMappingFreed,
        _ => fate,
    };

    public override void ZeroPart(ref DefectiveMachine machine, ref readonly ScrubJob job)
    {
        if (defect is not (Defect.UnscrubbedChunk or Defect.ChildUnscrubbed))
        {
            base.ZeroPart(ref machine, in job);
        }
    }

    public override MemoryResult Unmap(
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory, ref DefectiveMachine machine, in NotifierRange range)
    {
        if (defect == Defect.CopiedBehindGuest && range.Fate == PageFate.CopiedToNewFrame)
        {
            // The host copied the page, and has the copy from now on: of the guest's own mapping it does not think.
            return MemoryResult.Ok;
        }

        if (defect == Defect.FrameFreedWhileMapped && TryFreeMapped(ref memory, ref machine, range.Start))
        {
            return MemoryResult.Ok;
        }

        if (defect == Defect.ReplacedWithoutBreak && TryMoveBlock(ref memory, ref machine, range.Start))
        {
            return MemoryResult.Ok;
        }

        MemoryResult result = base.Unmap(ref memory, ref machine, in range);

        // Linux 6.6: the range was walked and its tables freed; now what was put off is invalidated.
        machine.IssuePutOff();
        return result;
    }

    public override FaultResult Commit(
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory, ref DefectiveMachine machine, ref FaultTicket ticket)
    {
        if (_toBreak.Shared != 0)
        {
            return BreakAgain(ref memory, ref machine);
        }

        ref InvalidationState state = ref InvalidationOf(ref memory);
        if (defect != Defect.FaultComparesAddress || state.IsInProgress(ticket.Ipa, 1))
        {
            return base.Commit(ref memory, ref machine, ref ticket);
        }

        // As the engine once did: the address is in no range that goes, and the block around it is not asked about.
        ref uint inProgress = ref InProgressOf(ref state);
        uint before = inProgress;
        inProgress = 0;
        FaultResult result = base.Commit(ref memory, ref machine, ref ticket);
        inProgress = before;
        return result;
    }

    public override Vmid TakeVmid(
        ref VmidAllocator vmids, int pe, ref VmidLease lease, ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory,
        ref DefectiveMachine machine)
    {
        Vmid before = memory.Vmid;
        machine.RunOn(pe);
        if (defect == Defect.SecondVmidForRunningVm)
        {
            return TakeNewVmid(ref vmids, pe, ref lease, ref memory, ref machine);
        }

        Vmid now = base.TakeVmid(ref vmids, pe, ref lease, ref memory, ref machine);
        if (defect == Defect.TlbiOfLastVmid)
        {
            // The number is read where the PE loads it, and its maintenance goes on by what it was at first.
            memory.Vmid = before;
        }

        if (defect == Defect.ChildWithTemplatesVmid && machine.Template.Value != 0 && now.Value != 0)
        {
            // The child's VTTBR_EL2 was copied from the template's, VMID and all.
            return machine.Template;
        }

        // VTTBR_EL2 is made before the number is taken.
        return defect == Defect.VttbrBeforeVmid && now.Value != 0 ? before : now;
    }

    public override bool IsOtherVcpu(ref LastVcpus last, int pe, int slot, int vcpu)
    {
        bool isElsewhere = !_pes.TryGetValue((slot, vcpu), out int before) || before != pe;
        _pes[(slot, vcpu)] = pe;
        return defect switch
        {
            Defect.VcpuLeftForNext => false,
            Defect.VcpuNotesItsPe => isElsewhere,
            _ => base.IsOtherVcpu(ref last, pe, slot, vcpu),
        };
    }

    public override void Left(ref VmidAllocator vmids, int pe)
    {
        base.Left(ref vmids, pe);
        if (defect == Defect.RolloverForgetsWhoLeaves && IsRollingOver)
        {
            // Which numbers run is looked at once more when everything is invalidated: this one does not run.
            ref ulong reserved = ref ReservedOf(ref vmids)[pe];
            int number = (int)reserved & ((1 << BitsOf(ref vmids)) - 1);
            UsedOf(ref vmids)[0] &= ~(1UL << number) | 1;
            reserved = 0;
        }
    }

    public override MemoryResult Fork(
        ref DefectiveMachine machine, ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory,
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> parent, Vmid vmid)
    {
        machine.BecomeChild(parent.Vmid);
        return base.Fork(ref machine, ref memory, ref parent, vmid);
    }

    public override bool EndsNow(ref Offspring family) =>
        base.EndsNow(ref family) || defect == Defect.TemplateFreedFirst;

    public override FaultResult Prepare(
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory, ref DefectiveMachine machine, Ipa ipa,
        AccessKind access, out FaultTicket ticket, int level)
    {
        if (defect == Defect.BreakOfBrokenPage && access == AccessKind.Write && memory.IsFork)
        {
            Translation now = memory.Translate(ref machine, ipa);
            if (now.IsMapped && now.Attributes.Accessed && machine.IsShared(now.Output))
            {
                // The page is looked up, and the lock given up until the commit.
                ticket = default;
                _toBreak = (ipa.Value & ~4095UL, now.Output.Value & ~4095UL, now.Attributes);
                return FaultResult.NeedsHostPage;
            }
        }

        return base.Prepare(ref memory, ref machine, ipa, access, out ticket, level);
    }

    private FaultResult BreakAgain(
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory, ref DefectiveMachine machine)
    {
        (ulong ipa, ulong shared, LeafAttributes attributes) = _toBreak;
        _toBreak = default;
        if (machine.Pool.AllocateData(ref machine.Frames, ipa >> 12, out Pa page, out _) != PoolResult.Ok)
        {
            return FaultResult.Retry;
        }

        machine.CopyFrame(page, new Pa(shared), 4096);
        machine.CleanInvalidateToPoC(page, 4096);
        machine.DsbFullSystem();
        ref PageTable<Arm<Granule4K>, DefectiveMachine> table =
            ref EngineInternals<Arm<Granule4K>, DefectiveMachine>.Table(ref memory);
        if (table.BreakShare(ref machine, new Ipa(ipa), page, attributes.WithWrite(true)) != Stage2Result.Done)
        {
            machine.Pool.FreeData(ref machine.Frames, page);
            return FaultResult.Retry;
        }

        return FaultResult.Mapped;
    }

    public override void Copied(ref DefectiveMachine machine) => machine.IssuePutOff();

    public override ReleaseReport Release(
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory, ref DefectiveMachine machine)
    {
        var root = new Pa(memory.Vttbr & AddressMask);
        if (defect == Defect.PartialRangeDropsTable && !machine.IsDyingLate)
        {
            DestroyInParts(ref machine, root);
        }

        Vmid vmid = memory.Vmid;
        _isDying = defect == Defect.TlbiAfterVmidReused && !machine.IsDyingLate;
        ReleaseReport report = base.Release(ref memory, ref machine);
        _late = _isDying && report.VmidIsInvalidated ? vmid : _late;
        return report;
    }

    public override void Entered(ref DefectiveMachine machine, Vmid vmid)
    {
        if (_late.Value == vmid.Value && _late.Value != 0)
        {
            _late = default;
            machine.InvalidateVmid(vmid);
            machine.DsbInnerShareable();
        }
    }

    /// <summary>The monitor takes a page back that its VM still maps.</summary>
    private static bool TryFreeMapped(
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory, ref DefectiveMachine machine, Ipa ipa)
    {
        Translation there = memory.Translate(ref machine, ipa);
        if (!there.IsMapped || there.Level != Stage2Geometry.LastLevel || !machine.Pool.Contains(there.Output))
        {
            return false;
        }

        machine.Pool.FreeData(ref machine.Frames, new Pa(there.Output.Value & AddressMask));
        return true;
    }

    /// <summary>
    /// A VM that ran through a rollover on one PE, and enters on another, is not looked for among those that keep their
    /// number: it gets a second one, and its maintenance names that one from now on.
    /// </summary>
    private Vmid TakeNewVmid(
        ref VmidAllocator vmids, int pe, ref VmidLease lease, ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory,
        ref DefectiveMachine machine)
    {
        ref UnmanagedArray<ulong> reserved = ref ReservedOf(ref vmids);
        Span<ulong> hidden = stackalloc ulong[reserved.Count];
        ulong tag = TagOf(ref lease);
        for (int at = 0; at < hidden.Length; at++)
        {
            bool isKept = tag != 0 && reserved[at] == tag;
            hidden[at] = isKept ? tag : 0;
            reserved[at] = isKept ? 0 : reserved[at];
        }

        ulong rollovers = vmids.Rollovers;
        Vmid vmid = base.TakeVmid(ref vmids, pe, ref lease, ref memory, ref machine);
        for (int at = 0; at < hidden.Length && vmids.Rollovers == rollovers; at++)
        {
            reserved[at] |= hidden[at];
        }

        return vmid;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_invalidation")]
    private static extern ref InvalidationState InvalidationOf(
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_inProgress")]
    private static extern ref uint InProgressOf(ref InvalidationState state);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_reserved")]
    private static extern ref UnmanagedArray<ulong> ReservedOf(ref VmidAllocator vmids);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_used")]
    private static extern ref UnmanagedArray<ulong> UsedOf(ref VmidAllocator vmids);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_bits")]
    private static extern ref int BitsOf(ref VmidAllocator vmids);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "Tag")]
    private static extern ref ulong TagOf(ref VmidLease lease);

    /// <summary>
    /// The walk of a destruction that is done in parts, as Linux's was that could reschedule (reverted, then mended by
    /// "Only drop references on empty tables in stage2_free_walker"): each part drops the tables that it passes, and
    /// the next part goes through them. Linux's parts are of 1 GB under tables of 512 GB; here the root has such
    /// entries, so the parts are a level smaller.
    /// </summary>
    private static void DestroyInParts(ref DefectiveMachine machine, Pa root)
    {
        for (ulong top = 0; top < 64; top++)
        {
            ulong entry = machine.ReadEntry(root + (top << EntryShift));
            for (ulong part = 0; part < 512 && (entry & 3) == 3; part++)
            {
                var table = new Pa(entry & AddressMask);
                ulong below = machine.ReadEntry(table + (part << EntryShift));
                if ((below & 3) == 3)
                {
                    machine.ReturnTable(new Pa(below & AddressMask));
                }

                machine.ReturnTable(table);
            }
        }
    }

    /// <summary>
    /// The monitor moves a block that is mapped: the new descriptor over the old one, and the invalidation after it.
    /// </summary>
    private static bool TryMoveBlock(
        ref GuestMemory<Arm<Granule4K>, DefectiveMachine> memory, ref DefectiveMachine machine, Ipa ipa)
    {
        Translation there = memory.Translate(ref machine, ipa);
        if (!there.IsMapped || there.Level != 2 || !machine.Pool.Contains(there.Output)
            || machine.Pool.AllocateWhole(ref machine.Frames, out Pa block, out _) != PoolResult.Ok)
        {
            return false;
        }

        machine.ZeroFrameToPoC(block, BlockBytes);
        machine.DsbFullSystem();
        ulong root = memory.Vttbr & AddressMask;
        ulong table = machine.ReadEntry(new Pa(root + (ipa.Value >> RootShift << EntryShift))) & AddressMask;
        var address = new Pa(table + ((ipa.Value >> BlockShift & 511) << EntryShift));
        ulong old = machine.ReadEntry(address);
        machine.WriteEntry(address, (old & ~(AddressMask & ~(BlockBytes - 1))) | block.Value);
        machine.DsbInnerShareableStores();
        machine.InvalidateIpa(memory.Vmid, new TlbiIpa(ipa, 0, 12));
        machine.DsbInnerShareable();
        machine.InvalidateCombined(memory.Vmid);
        machine.DsbInnerShareable();
        machine.Pool.FreeWhole(ref machine.Frames, new Pa(old & AddressMask & ~(BlockBytes - 1)));
        return true;
    }
}
