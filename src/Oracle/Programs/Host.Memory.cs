using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

// What guests and the host do with memory.
public partial class Host<TFormat, TMachine>
{
    private const int SmallRegion = 0;
    private const int BlockRegion = 1;
    private const int FileRegion = 2;
    private const int AnonymousRegion = 3;

    /// <summary>Where blocks begin, end, and lie inside, in 4K.</summary>
    private static readonly int[] _blockPages = [0, 1, 7, 511, 512, 513, 700, 1023];

    private static Place PlaceOf(int page)
    {
        if (page >= FirstHugePage)
        {
            return HugePlace((page - FirstHugePage) % HugePlaces);
        }

        int index = page >> 2;
        return (page & 3) switch
        {
            SmallRegion => new Place(
                SmallRegion, index % SmallPages, SmallStart + ((ulong)(index % SmallPages) * Granule)),
            BlockRegion => new Place(
                BlockRegion, index % 8, BlockStart + (((ulong)_blockPages[index % 8] << 12) & ~(Granule - 1))),
            FileRegion => new Place(FileRegion, index % FilePages, FileStart + ((ulong)(index % FilePages) * Granule)),
            _ => new Place(AnonymousRegion, index % FilePages, AnonymousStart + ((ulong)(index % FilePages) * Granule)),
        };
    }

    private void Access(Guest guest, int pe, Place place, ProgramStep step)
    {
        Operation operation = step.Operation;
        if (_running[pe] != guest)
        {
            return;
        }

        bool isUncached = operation is Operation.ReadUncached or Operation.WriteUncached;
        if (isUncached && !_options.UncachedGuests)
        {
            return;
        }

        AccessKind kind = operation switch
        {
            Operation.Execute => AccessKind.Execute,
            Operation.Write or Operation.WriteUncached => AccessKind.Write,
            _ => AccessKind.Read,
        };
        guest.Port.Pe = pe;
        Tell?.Invoke($"PE {pe}: {guest.Name} {kind.ToString().ToLowerInvariant()}s {WhereOf(place)}"
            + (isUncached ? " with its caches off" : string.Empty));
        for (int attempt = 0; attempt < 3; attempt++)
        {
            Translation there = guest.Memory.Translate(ref guest.Machine, new Ipa(place.Ipa));
            if (there.IsMapped && there.Attributes.Accessed && Permits(there.Attributes, kind))
            {
                Touch(guest, place, new Pa(there.Output.Value), kind, isUncached);
                return;
            }

            int level = there.IsMapped ? GuestMemory<TFormat, TMachine>.UnknownLevel : there.Level;
            Judge.BeginCall(guest.Judged);
            bool answered = Fault(guest, place, kind, level, step.Choice);
            guest.Port.Settle();
            Judge.EndCall();
            if (!answered)
            {
                return;
            }
        }
    }

    private static bool Permits(LeafAttributes attributes, AccessKind kind) => kind switch
    {
        AccessKind.Read => attributes.Read,
        AccessKind.Write => attributes.Write,
        _ => !attributes.ExecuteNever,
    };

    private bool Fault(Guest guest, Place place, AccessKind kind, int level, int choice)
    {
        var ipa = new Ipa(place.Ipa);
        if (place.Region <= BlockRegion)
        {
            return Sound(guest.Memory.HandleFault(ref guest.Machine, ipa, kind, level)) is FaultResult.Mapped
                or FaultResult.Retry;
        }

        FaultResult result = Sound(
            guest.Memory.PrepareFault(ref guest.Machine, ipa, kind, out FaultTicket ticket, level));
        if (result != FaultResult.NeedsHostPage)
        {
            return result is FaultResult.Mapped or FaultResult.Retry;
        }

        if (place.Region == HugeRegion)
        {
            SupplyHuge(guest, place, kind, choice, ref ticket);
        }
        else if (TryHostFrame(guest, place, out ulong frame))
        {
            ticket.Supply(new Pa(frame), Stage2Geometry.LastLevel, true);
        }
        else
        {
            return false;
        }

        result = Sound(guest.Memory.CommitFault(ref guest.Machine, ref ticket));
        return result is FaultResult.Mapped or FaultResult.Retry;
    }

    /// <summary>The frame that the host has for a page; an anonymous one is made at the first touch.</summary>
    private bool TryHostFrame(Guest guest, Place place, out ulong frame)
    {
        frame = HostStart + ((ulong)place.Index * Granule);
        if (place.Region == FileRegion)
        {
            return true;
        }

        ref ulong held = ref guest.Frames[place.Index];
        if (held == 0)
        {
            if (!_frames.TryPop(out held))
            {
                return false;
            }

            Judge.Own(new Pa(held), Granule, guest.Anonymous);
            Judge.Write(new Pa(held), Granule, Judge.Hypervisor, Judge.Hypervisor, isCached: true);
        }

        frame = held;
        return true;
    }

    private void Touch(Guest guest, Place place, Pa page, AccessKind kind, bool isUncached)
    {
        var start = new Pa(page.Value & ~(Granule - 1));
        bool isCached = !isUncached || _options.Features.ForcedWriteBack;
        string where = WhereOf(place);
        int party = guest.Judged!.Party;
        switch (kind)
        {
            case AccessKind.Read:
                Judge.Consume(start, ReaderOf(place), where, isCached);
                break;
            case AccessKind.Execute:
                if (Judge.LastWriter(start) == party)
                {
                    // Code that the guest wrote is the guest's to make visible to its own fetches.
                    Judge.GuestMaintains(start, CacheKind.Instruction);
                }

                Judge.Fetch(start, ReaderOf(place), where);
                break;
            default:
                if (!isCached && Judge.MayBeDirty(start))
                {
                    // A guest cleans before it turns its caches off, or its own lines come back over its writes.
                    Judge.GuestMaintains(start, CacheKind.CleanInvalidate);
                }

                Judge.Write(start, Granule, party, Judge.OwnerOf(start), isCached);
                break;
        }
    }

    /// <summary>Without a name: VMs are alike, and a violation is shrunk to whichever takes the fewest steps.</summary>
    private static string ReaderOf(Place place) =>
        place.Region is FileRegion or HugeRegion ? "a VM that maps the file" : "the VM itself";

    private static string WhereOf(Place place) => place.Region switch
    {
        SmallRegion => $"page {place.Index} of its memory",
        BlockRegion => $"page {(place.Ipa - BlockStart) / Granule} of its block memory",
        FileRegion => $"page {place.Index} of the file",
        HugeRegion => $"page {(place.Ipa - HugeStart) / Granule} of the huge file",
        _ => $"page {place.Index} of its VMM's memory",
    };

    private void ChangePool(Guest guest, Place place, ProgramStep step)
    {
        guest.Port.Pe = MonitorPe;
        Judge.BeginCall(guest.Judged);
        Tell?.Invoke(Words(guest.Name, step.Operation, WhereOf(place)));
        (ulong start, ulong bytes, int log) = place.Region switch
        {
            BlockRegion => (BlockStart, BlockBytes, 0),
            HugeRegion => (HugeStart, HugeBytes, WordsOf(BlockBytes)),
            _ => (SmallStart, SmallPages * Granule, WordsOf(BlockBytes + HugeBytes)),
        };
        int words = WordsOf(bytes);
        ref int slot = ref SlotOf(guest, place);
        switch (step.Operation)
        {
            case Operation.UnmapPool:
                ulong from = place.Region <= BlockRegion ? place.Ipa : start;
                ulong length = (step.Choice & 3) switch
                {
                    0 => Granule,
                    1 => 3 * Granule,
                    2 => FramePool.ChunkBytes,
                    _ => bytes,
                };
                ulong to = Math.Min(from + length, start + bytes);
                var why = (step.Choice & 4) != 0 ? NotifierEvent.Clear : NotifierEvent.Unmap;
                Unmap(guest, from, to, why, PageFate.AnonymousLastMappingFreed);
                break;
            case Operation.ReplaceSlot:
                TellLeftOut(
                    UnmapOperation.SlotRemoval, default,
                    place.Region == HugeRegion ? PageFate.FileBacked : PageFate.AnonymousLastMappingFreed);
                if (guest.Memory.TryGetSlot(slot, out MemorySlot old)
                    && Sound(guest.Memory.RemoveSlot(ref guest.Machine, slot)) == MemoryResult.Ok)
                {
                    guest.Memory.AddSlot(new Ipa(start), bytes, old.Options, out slot);
                }

                break;
            case Operation.StartLog:
                guest.Log ??= GC.AllocateArray<ulong>(
                    WordsOf(BlockBytes + HugeBytes) + WordsOf(SmallPages * Granule), pinned: true);
                nint at = System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(guest.Log, log);
                if (Sound(guest.Memory.StartDirtyLog(ref guest.Machine, slot, new UnmanagedArray<ulong>(at, words)))
                    == MemoryResult.Ok)
                {
                    CopyAll(guest, place.Region);
                }

                break;
            case Operation.ReadLog:
                Span<ulong> dirty = stackalloc ulong[words];
                if (Sound(guest.Memory.GetAndClearDirtyLog(ref guest.Machine, slot, dirty)) == MemoryResult.Ok)
                {
                    CopyDirty(guest, place.Region, start, dirty);
                }

                Copied(ref guest.Machine);
                break;
            case Operation.StopLog:
                guest.Memory.StopDirtyLog(slot);
                break;
            default:
                Sound(guest.Memory.Age(ref guest.Machine, new Ipa(start), bytes, out _));
                break;
        }

        EndChange(guest);
    }

    private static int WordsOf(ulong bytes) => (int)GuestMemory<TFormat, TMachine>.DirtyLogWords(bytes);

    private static ref int SlotOf(Guest guest, Place place)
    {
        switch (place.Region)
        {
            case BlockRegion:
                return ref guest.Blocks;
            case HugeRegion:
                return ref guest.Huge;
            default:
                return ref guest.Small;
        }
    }

    private void Unmap(Guest guest, ulong from, ulong to, NotifierEvent why, PageFate fate)
    {
        TellLeftOut(UnmapOperation.NotifierRange, why, Claim(fate));
        var range = new NotifierRange(new Ipa(from), new Ipa(to), why, true, Claim(fate));
        Unmap(ref guest.Memory, ref guest.Machine, in range);
    }

    private void EndChange(Guest guest)
    {
        guest.Port.Settle();
        TellIssued(guest);
        Judge.EndCall();
    }

    private void ChangeHost(Guest guest, int index, ProgramStep step)
    {
        guest.Port.Pe = MonitorPe;
        bool isFile = step.Operation is Operation.MunmapFile or Operation.WriteBack or Operation.WriteFile
            || (step.Operation is Operation.MunmapPinned or Operation.Protect && (step.Choice & 1) != 0);
        ulong ipa = (isFile ? FileStart : AnonymousStart) + ((ulong)index * Granule);
        ulong frame = isFile ? HostStart + ((ulong)index * Granule) : guest.Frames[index];
        bool isGoing = guest.IsUnmapping && ipa >= guest.Unmapping.Start.Value && ipa < guest.Unmapping.End.Value;
        if (frame == 0 || (isGoing && !isFile))
        {
            // What the host has begun to free it does not remap or swap out meanwhile.
            return;
        }

        var page = new Pa(frame);
        string where = WhereOf(new Place(isFile ? FileRegion : AnonymousRegion, index, ipa));
        Tell?.Invoke(Words(guest.Name, step.Operation, where));
        if (step.Operation == Operation.WriteBack)
        {
            Judge.Consume(page, "write-back", where, isCached: true);
            return;
        }

        if (step.Operation == Operation.WriteFile)
        {
            Judge.Write(page, Granule, Judge.Hypervisor, _file, isCached: true);
            return;
        }

        if (step.Operation == Operation.MovePage)
        {
            // Of these pages none is mapped read-only.
            return;
        }

        (NotifierEvent why, PageFate fate) = step.Operation switch
        {
            Operation.MunmapPinned => (NotifierEvent.Unmap, PageFate.Unknown),
            Operation.MunmapFile => (
                NotifierEvent.Unmap,
                IsMappedElsewhere(guest, ipa) ? PageFate.StillMappedElsewhere : PageFate.FileBacked),
            Operation.MunmapAnonymous => (NotifierEvent.Unmap, PageFate.AnonymousLastMappingFreed),
            Operation.Mremap => (NotifierEvent.Unmap, PageFate.KeptByRemap),
            Operation.SwapOut => (NotifierEvent.Clear, PageFate.SwappedToNonSnoopingDevice),
            Operation.Migrate => (NotifierEvent.Clear, PageFate.CopiedToNewFrame),
            _ => (NotifierEvent.ProtectionPage, PageFate.StaysInPlace),
        };
        bool wasMapped = guest.Memory.Translate(ref guest.Machine, new Ipa(ipa)).IsMapped;
        Judge.BeginCall(guest.Judged);
        Unmap(guest, ipa, ipa + Granule, why, fate);
        EndChange(guest);
        if (step.Operation == Operation.SwapOut && (_options.Features.ForcedWriteBack || !wasMapped))
        {
            // The driver's own maintenance: with FEAT_S2FWB always, else for what no guest can have written since.
            Judge.GuestMaintains(page, CacheKind.Clean);
        }

        AfterUnmap(guest, index, page, where, step.Operation);
    }

    /// <summary>Who reads the page now: the reason why maintenance is done at all.</summary>
    private void AfterUnmap(Guest guest, int index, Pa page, string where, Operation operation)
    {
        switch (operation)
        {
            case Operation.MunmapPinned:
                Judge.Consume(page, "whoever has it pinned", where, isCached: true);
                break;
            case Operation.Mremap:
                Judge.Consume(page, "the process that remapped it", where, isCached: true);
                break;
            case Operation.MunmapFile when IsMappedElsewhere(guest, FileStart + ((ulong)index * Granule)):
                Judge.Consume(page, "another VM that still maps it", where, isCached: true);
                break;
            case Operation.MunmapAnonymous:
                FreeFrame(page.Value);
                guest.Frames[index] = 0;
                break;
            case Operation.SwapOut:
                Judge.Consume(page, "a device that does not snoop", where, isCached: false);
                break;
            case Operation.Migrate when _frames.TryPop(out ulong frame):
                Judge.Consume(page, "the host, copying", where, isCached: true);
                Judge.Own(new Pa(frame), Granule, guest.Anonymous);
                Judge.Write(new Pa(frame), Granule, Judge.Hypervisor, guest.Anonymous, isCached: true);
                guest.Frames[index] = frame;
                FreeFrame(page.Value);
                break;
            default:
                break;
        }
    }

    private bool IsMappedElsewhere(Guest guest, ulong ipa)
    {
        foreach (Guest? other in _guests)
        {
            if (other is not null && other != guest
                && other.Memory.Translate(ref other.Machine, new Ipa(ipa)).IsMapped)
            {
                return true;
            }
        }

        return false;
    }

    private void FreeFrame(ulong frame)
    {
        Judge.ReturnFrames(new Pa(frame), Granule);
        _frames.Push(frame);
    }
}
