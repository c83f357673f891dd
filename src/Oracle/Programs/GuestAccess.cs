using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>What guests do with their memory, and the faults that they take on the way.</summary>
internal sealed class GuestAccess<TFormat, TMachine>(
    ProgramMachine<TFormat, TMachine> machine, HugeFile<TFormat, TMachine> hugeFile)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private const int MostFaults = 3;

    private Judge Judge => machine.Judge;

    /// <summary>A guest that runs on a PE reads, writes or fetches; faults are answered until it can.</summary>
    public void Run(Guest<TFormat, TMachine> guest, int pe, Place place, ProgramStep step)
    {
        bool isUncached = step.Operation is Operation.ReadUncached or Operation.WriteUncached;
        if (machine.Pes.On(pe) != guest || (isUncached && !machine.Options.UncachedGuests))
        {
            return;
        }

        machine.Pes.CommitFault(guest, pe);
        AccessKind kind = KindOf(step.Operation);
        guest.Port.Pe = pe;
        machine.Story.Step?.Invoke(
            $"PE {pe}: {guest.Name} {kind.ToString().ToLowerInvariant()}s {Places<TFormat>.WhereOf(place)}"
            + (isUncached ? " with its caches off" : string.Empty));
        Access(pe);
        for (int attempt = 0; attempt < MostFaults; attempt++)
        {
            Translation there = guest.Translate(place.Ipa);
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

    /// <summary>
    /// A guest faults, and its page is looked up. Choice: as for <see cref="HugeFile{TFormat, TMachine}.Supply"/>; a
    /// page that the host may map read-only is read.
    /// </summary>
    public void BeginFault(Guest<TFormat, TMachine> guest, int pe, Place place, int choice)
    {
        if (machine.Pes.On(pe) != guest || guest.Faults[pe].IsPending)
        {
            return;
        }

        AccessKind kind = (choice & 2) == 0 ? AccessKind.Write : AccessKind.Read;
        Translation there = guest.Translate(place.Ipa);
        if (there.IsMapped && there.Attributes.Accessed && Permits(there.Attributes, kind))
        {
            return;
        }

        guest.Port.Pe = pe;
        machine.Story.Step?.Invoke($"PE {pe}: {guest.Name} {kind.ToString().ToLowerInvariant()}s "
            + $"{Places<TFormat>.WhereOf(place)} and faults; the page is looked up");
        Access(pe);
        int level = there.IsMapped ? GuestMemory<TFormat, TMachine>.UnknownLevel : there.Level;
        Judge.BeginCall(guest.Judged);
        FaultResult result = machine.Contract.Prepare(
            ref guest.Memory, ref guest.Machine, new Ipa(place.Ipa), kind, out FaultTicket ticket, level).Sound();
        if (result == FaultResult.Prepared)
        {
            guest.Memory.FillFault(ref guest.Machine, ref ticket);
        }

        bool isPending = result == FaultResult.Prepared
            || (result == FaultResult.NeedsHostPage && TrySupply(guest, place, kind, choice, ref ticket));
        guest.Port.Settle();
        Judge.EndCall();
        guest.Faults[pe] = new PendingFault { IsPending = isPending, Ticket = ticket, Place = place };
    }

    private void Access(int pe)
    {
        if (machine.Options.Vcpus != 0)
        {
            Judge.TryAccess(pe);
        }
    }

    private static AccessKind KindOf(Operation operation) => operation switch
    {
        Operation.Execute => AccessKind.Execute,
        Operation.Write or Operation.WriteUncached => AccessKind.Write,
        _ => AccessKind.Read,
    };

    private static bool Permits(LeafAttributes attributes, AccessKind kind) => kind switch
    {
        AccessKind.Read => attributes.Read,
        AccessKind.Write => attributes.Write,
        _ => !attributes.ExecuteNever,
    };

    private bool Fault(Guest<TFormat, TMachine> guest, Place place, AccessKind kind, int level, int choice)
    {
        var ipa = new Ipa(place.Ipa);
        if (place.Region <= Region.Block)
        {
            return IsAnswered(guest.Memory.HandleFault(ref guest.Machine, ipa, kind, level));
        }

        FaultResult result = guest.Memory.PrepareFault(ref guest.Machine, ipa, kind, out FaultTicket ticket, level);
        if (result != FaultResult.NeedsHostPage)
        {
            return IsAnswered(result);
        }

        return TrySupply(guest, place, kind, choice, ref ticket)
            && IsAnswered(machine.Contract.Commit(ref guest.Memory, ref guest.Machine, ref ticket));
    }

    private static bool IsAnswered(FaultResult result) => result.Sound() is FaultResult.Mapped or FaultResult.Retry;

    /// <summary>The host names its page for a fault; an anonymous one is made at the first touch.</summary>
    private bool TrySupply(
        Guest<TFormat, TMachine> guest, Place place, AccessKind kind, int choice, ref FaultTicket ticket)
    {
        if (place.Region == Region.Huge)
        {
            hugeFile.Supply(guest, place, kind, choice, ref ticket);
            return true;
        }

        ulong frame = machine.Frames.OfFile(place.Index);
        if (place.Region == Region.Anonymous)
        {
            ref ulong held = ref guest.Frames[place.Index];
            if (held == 0 && !machine.Frames.TryTakeZeroed(guest.Anonymous, out held))
            {
                return false;
            }

            frame = held;
        }

        ticket.Supply(new Pa(frame), Stage2Geometry.LastLevel, true);
        return true;
    }

    private void Touch(Guest<TFormat, TMachine> guest, Place place, Pa page, AccessKind kind, bool isUncached)
    {
        ulong granule = Places<TFormat>.Granule;
        var start = new Pa(page.Value & ~(granule - 1));
        bool isCached = !isUncached || machine.Options.Features.ForcedWriteBack;
        string where = Places<TFormat>.WhereOf(place);
        string reader = Places<TFormat>.ReaderOf(place);
        int party = guest.Judged!.Party;
        if (place.Region <= Region.Block)
        {
            Remember(guest, place, start, kind);
        }

        switch (kind)
        {
            case AccessKind.Read:
                Judge.Consume(start, reader, where, isCached);
                break;
            case AccessKind.Execute:
                if (guest.Wrote(Judge.LastWriter(start)))
                {
                    // Code that the guest wrote is the guest's to make visible to its own fetches.
                    Judge.GuestMaintains(start, CacheKind.Instruction);
                }

                Judge.Fetch(start, reader, where);
                break;
            default:
                if (!isCached && Judge.MayBeDirty(start))
                {
                    // A guest cleans before it turns its caches off, or its own lines come back over its writes.
                    Judge.GuestMaintains(start, CacheKind.CleanInvalidate);
                }

                Judge.Write(start, granule, party, Judge.OwnerOf(start), isCached);
                break;
        }
    }

    /// <summary>What a guest wrote in its own memory is there, however often the page under it changed since.</summary>
    private void Remember(Guest<TFormat, TMachine> guest, Place place, Pa page, AccessKind kind)
    {
        ref bool isWritten = ref guest.Written[((int)place.Region * Places<TFormat>.SmallPages) + place.Index];
        if (isWritten && Judge.LastWriter(page) != guest.Judged!.Party)
        {
            throw new ViolationException(new Violation(
                ViolationKind.LostUpdate, "the VM itself",
                $"{guest.Name} comes back to {Places<TFormat>.WhereOf(place)}, which it wrote, and what it wrote is "
                + "gone"));
        }

        isWritten |= kind == AccessKind.Write;
    }
}
