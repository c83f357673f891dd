using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// Ranges that go in several bounded calls, since their caller may not block: any other step may come in between.
/// </summary>
internal sealed class BoundedCalls<TFormat, TMachine>(
    ProgramMachine<TFormat, TMachine> machine, HugeFile<TFormat, TMachine> hugeFile)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    /// <summary>A range begins to go, or the one that does goes on.</summary>
    public void Begin(Guest<TFormat, TMachine> guest, Place place, ProgramStep step)
    {
        if (guest.Unmapping.IsUnderWay)
        {
            Continue(guest);
            return;
        }

        (ulong from, ulong to) = place.Region switch
        {
            Region.Huge => HugeFile<TFormat, TMachine>.RangeAt(place, step.Choice),
            Region.Block when (step.Choice & 1) == 0 => (place.Ipa, place.Ipa + Places<TFormat>.Granule),
            _ => (place.Ipa, Places<TFormat>.EndOf(place.Region)),
        };
        PageFate fate = machine.Contract.Claim(place.Region switch
        {
            Region.Huge => hugeFile.FateOf(guest, from, to),
            Region.File => PageFate.Unknown,
            _ => PageFate.AnonymousLastMappingFreed,
        });
        guest.Port.Pe = machine.MonitorPe;
        ref BoundedUnmap going = ref guest.Unmapping;
        going.Range = new NotifierRange(new Ipa(from), new Ipa(to), NotifierEvent.Unmap, false, fate);
        going.Of = place;
        going.IsPunched = place.Region == Region.Huge && (step.Choice & 4) != 0;
        machine.Story.Step?.Invoke($"{guest.Name}: a bounded munmap begins, of {(to - from) / Places<TFormat>.Granule} "
            + $"pages from {Places<TFormat>.WhereOf(place)} on");
        machine.Story.LeftOut(UnmapOperation.NotifierRange, NotifierEvent.Unmap, fate);
        machine.Judge.BeginCall(guest.Judged);
        MemoryResult result = guest.Memory.BeginInvalidation(
            ref guest.Machine, in going.Range, ref going.Cursor).Sound();
        machine.EndChange(guest);
        going.IsUnderWay = result is MemoryResult.Ok or MemoryResult.Again;
        going.IsDone = result == MemoryResult.Ok || !machine.Contract.GoesOn;
    }

    /// <summary>The next call for a range that goes, or its end.</summary>
    public void Continue(Guest<TFormat, TMachine> guest)
    {
        ref BoundedUnmap going = ref guest.Unmapping;
        if (!going.IsUnderWay)
        {
            return;
        }

        guest.Port.Pe = machine.MonitorPe;
        if (!going.IsDone)
        {
            machine.Story.Step?.Invoke($"{guest.Name}: the bounded munmap goes on");
            machine.Judge.BeginCall(guest.Judged);
            MemoryResult result = guest.Memory.ContinueInvalidation(
                ref guest.Machine, in going.Range, ref going.Cursor).Sound();
            machine.EndChange(guest);
            going.IsDone = result != MemoryResult.Again;
            return;
        }

        machine.Story.Step?.Invoke($"{guest.Name}: the bounded munmap ends");
        guest.Memory.EndInvalidation();
        going.IsUnderWay = false;
        AfterEnd(guest, in going);
    }

    private void AfterEnd(Guest<TFormat, TMachine> guest, ref readonly BoundedUnmap gone)
    {
        Region region = gone.Of.Region;
        if (region == Region.Huge)
        {
            hugeFile.AfterUnmap(guest, gone.Range.Start.Value, gone.Range.End.Value);
            if (gone.IsPunched)
            {
                hugeFile.Punch(guest, gone.Range.Start.Value, gone.Range.End.Value);
            }
        }

        for (int index = gone.Of.Index; index < Places<TFormat>.FilePages; index++)
        {
            if (region == Region.File)
            {
                machine.Judge.Consume(
                    new Pa(machine.Frames.OfFile(index)), "a driver that has it pinned",
                    Places<TFormat>.WhereOf(Places<TFormat>.At(region, index)), isCached: true);
            }
            else if (region == Region.Anonymous && guest.Frames[index] != 0)
            {
                machine.Frames.Return(guest.Frames[index]);
                guest.Frames[index] = 0;
            }
        }
    }
}
