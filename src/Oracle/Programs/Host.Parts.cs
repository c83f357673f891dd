using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

// Ranges that go in several bounded calls, since their caller may not block: whatever else there is happens in between.
public partial class Host<TFormat, TMachine>
{
    /// <summary>Whether the host goes on with an invalidation until all of its range is done.</summary>
    protected virtual bool GoesOn => true;

    private void BeginUnmap(Guest guest, Place place, ProgramStep step)
    {
        if (guest.IsUnmapping)
        {
            ContinueUnmap(guest);
            return;
        }

        (ulong from, ulong to) = place.Region switch
        {
            HugeRegion => HugeRange(place, step.Choice),
            BlockRegion => (place.Ipa, (step.Choice & 1) != 0 ? BlockStart + BlockBytes : place.Ipa + Granule),
            SmallRegion => (place.Ipa, SmallStart + (SmallPages * Granule)),
            FileRegion => (place.Ipa, FileStart + (FilePages * Granule)),
            _ => (place.Ipa, AnonymousStart + (FilePages * Granule)),
        };
        PageFate fate = place.Region switch
        {
            HugeRegion when IsSharedHuge(guest, from, to) => PageFate.StillMappedElsewhere,
            HugeRegion => PageFate.FileBacked,
            FileRegion => PageFate.Unknown,
            _ => PageFate.AnonymousLastMappingFreed,
        };
        guest.Port.Pe = MonitorPe;
        guest.Unmapping = new NotifierRange(new Ipa(from), new Ipa(to), NotifierEvent.Unmap, false, Claim(fate));
        guest.UnmappingOf = place;
        ulong pages = (to - from) / Granule;
        Tell?.Invoke($"{guest.Name}: a bounded munmap begins, of {pages} pages from {WhereOf(place)} on");
        TellLeftOut(UnmapOperation.NotifierRange, NotifierEvent.Unmap, Claim(fate));
        Judge.BeginCall(guest.Judged);
        MemoryResult result = Sound(
            guest.Memory.BeginInvalidation(ref guest.Machine, guest.Unmapping, ref guest.Cursor));
        EndChange(guest);
        guest.IsUnmapping = result is MemoryResult.Ok or MemoryResult.Again;
        guest.IsUnmapped = result == MemoryResult.Ok || !GoesOn;
    }

    private void ContinueUnmap(Guest guest)
    {
        if (!guest.IsUnmapping)
        {
            return;
        }

        guest.Port.Pe = MonitorPe;
        if (!guest.IsUnmapped)
        {
            Tell?.Invoke($"{guest.Name}: the bounded munmap goes on");
            Judge.BeginCall(guest.Judged);
            MemoryResult result = Sound(guest.Memory.ContinueInvalidation(
                ref guest.Machine, guest.Unmapping, ref guest.Cursor));
            EndChange(guest);
            guest.IsUnmapped = result != MemoryResult.Again;
            return;
        }

        Tell?.Invoke($"{guest.Name}: the bounded munmap ends");
        guest.Memory.EndInvalidation();
        guest.IsUnmapping = false;
        AfterParts(guest, guest.UnmappingOf, guest.Unmapping.Start.Value, guest.Unmapping.End.Value);
    }

    private void AfterParts(Guest guest, Place place, ulong from, ulong to)
    {
        switch (place.Region)
        {
            case HugeRegion:
                DropCopies(guest, from, to);
                ReadShared(guest, from, to);
                break;
            case FileRegion:
                for (int index = place.Index; index < FilePages; index++)
                {
                    Judge.Consume(
                        new Pa(HostStart + ((ulong)index * Granule)), "whoever has it pinned",
                        WhereOf(place with { Index = index }), isCached: true);
                }

                break;
            case AnonymousRegion:
                for (int index = place.Index; index < FilePages; index++)
                {
                    if (guest.Frames[index] != 0)
                    {
                        FreeFrame(guest.Frames[index]);
                        guest.Frames[index] = 0;
                    }
                }

                break;
            default:
                break;
        }
    }
}
