using Quietus.Stage2;

namespace Quietus.Memory;

// Faults on slots whose pages are the host's: it names the page, and this maps what it said, changes
// what was there before, or refuses what cannot be.
public partial struct GuestMemory<TFormat, TMachine>
{
    /// <summary>
    /// The host moved a page that is mapped (the notifier's change_pte): cleans the new one to the PoC and sets
    /// the leaf by break-before-make. The same protection holds; the old page is maintained. Faults that looked a page
    /// up before are dropped, whether this one is mapped or not: theirs may be the old one.
    /// </summary>
    public MemoryResult ReplaceHostPage(ref TMachine machine, Ipa ipa, Pa page)
    {
        if (!CanChange)
        {
            return WhyUnchangeable;
        }

        int number = _slots.Find(ipa);
        if (number == SlotTable.None || _slots[number].Slot.Backing != SlotBacking.Host)
        {
            return MemoryResult.NoSuchSlot;
        }

        if (!page.IsAlignedTo(GranuleBytes) || !ipa.IsAlignedTo(GranuleBytes))
        {
            return MemoryResult.Misaligned;
        }

        _invalidation.Renew();
        Translation now = _table.Translate(ref machine, ipa);
        if (!now.IsMapped || now.Level != PageLevel)
        {
            return MemoryResult.NotMapped;
        }

        if (page >= Geometry.OutputLimit || machine.Pool.Contains(page))
        {
            return MemoryResult.OutOfRange;
        }

        if (_slots[number].Slot.Type != MemoryType.Device)
        {
            MakeVisible(ref machine, page, GranuleBytes, !now.Attributes.ExecuteNever);
        }

        return FromStage2(_table.Replace(ref machine, ipa, page, now.Attributes, UnmapFlags.None, out _));
    }

    private FaultResult MapHostPage(
        ref TMachine machine, ref MemorySlot slot, Ipa ipa, in FaultTicket ticket)
    {
        int level = ticket.Level;
        if (level is < 0 or > PageLevel || !TFormat.HasLeafAt(level))
        {
            return FaultResult.BadPage;
        }

        ulong bytes = Stage2Geometry.LevelBytes<TFormat>(level);
        var page = new Pa(ticket.Page);
        if (!page.IsAlignedTo(bytes) || page >= Geometry.OutputLimit || bytes > Geometry.OutputLimit - page
            || machine.Pool.Overlaps(page, bytes) || !slot.HoldsBlock(ipa.Value, bytes)
            || (ticket.Access == AccessKind.Write && !ticket.HostPermitsWrites))
        {
            return FaultResult.BadPage;
        }

        if (slot.IsLogged && level != PageLevel)
        {
            page += ipa.Value & (bytes - 1) & ~(GranuleBytes - 1);
            level = PageLevel;
            bytes = GranuleBytes;
        }

        LeafAttributes attributes = AttributesFor(ref machine, in slot, ticket.Access);
        attributes = attributes.WithWrite(attributes.Write && ticket.HostPermitsWrites);
        Translation now = _table.Translate(ref machine, ipa);
        Ipa start = AlignDown(ipa, bytes);
        FaultResult result = now.IsMapped
            ? ChangeHostLeaf(ref machine, in slot, start, page, level, attributes, in now, in ticket)
            : MapNewHostLeaf(ref machine, in slot, start, page, level, attributes, in ticket);
        if (result == FaultResult.Mapped)
        {
            LogWrite(ref slot, ipa, ticket.Access);
        }

        machine.Pool.ForgetReservation(ref machine.Frames);
        return result;
    }

    private FaultResult MapNewHostLeaf(
        ref TMachine machine, in MemorySlot slot, Ipa start, Pa page, int level, LeafAttributes attributes,
        in FaultTicket ticket)
    {
        if (slot.Slot.Type != MemoryType.Device)
        {
            MakeVisible(
                ref machine, page, Stage2Geometry.LevelBytes<TFormat>(level), ticket.Access == AccessKind.Execute);
        }

        Stage2Result result = _table.Map(ref machine, start, page, level, attributes);
        return result == Stage2Result.TableInTheWay
            ? ReplaceTable(ref machine, in slot, start, page, level, attributes)
            : FromStage2ForFault(ref machine, result);
    }

    /// <summary>The host has an answer for an address that has a leaf already.</summary>
    private FaultResult ChangeHostLeaf(
        ref TMachine machine, in MemorySlot slot, Ipa start, Pa page, int level, LeafAttributes attributes,
        in Translation now, in FaultTicket ticket)
    {
        ulong bytes = Stage2Geometry.LevelBytes<TFormat>(level);
        bool isSameMemory = now.Output.Value == page.Value + (ticket.Address & (bytes - 1));
        bool isExecute = ticket.Access == AccessKind.Execute;
        if (slot.Slot.Type != MemoryType.Device)
        {
            if (!isSameMemory || (now.Level > level && MappedOf(ref machine, start, page, level) != bytes))
            {
                // Copy-on-write brought another page, or a block brings pages that were not mapped here. They are
                // cleaned now, as at a first mapping.
                MakeVisible(ref machine, page, bytes, isExecute);
            }
            else if (isExecute)
            {
                InvalidateInstructions(ref machine, page, bytes);
            }
        }

        if (now.Level > level)
        {
            return ReplaceTable(ref machine, in slot, start, page, level, attributes);
        }

        if (isSameMemory)
        {
            if (now.Level < level)
            {
                Stage2Result split = _table.SplitBlock(ref machine, start, level);
                if (split != Stage2Result.Done)
                {
                    return FromStage2ForFault(ref machine, split);
                }
            }

            // What was executable stays so: the fault was about something else.
            bool stays = attributes.ExecuteNever && now.Attributes.ExecuteNever;
            return Permit(ref machine, start, level, new LeafAttributes(
                true, attributes.Write, stays, slot.Slot.Type));
        }

        if (now.Level == level)
        {
            return FromStage2ForFault(ref machine, _table.Replace(
                ref machine, start, page, attributes, UnmapFlags.None, out _));
        }

        // A block of other memory is in the way: it goes as Linux 5.5's did, whole; the rest faults in again.
        ulong blockBytes = Stage2Geometry.LevelBytes<TFormat>(now.Level);
        Ipa next = AlignDown(start, blockBytes);
        MemoryResult unmapped = UnmapSpan(
            ref machine, ref next, next + blockBytes, UnmapFlags.None, PartialBlock.TakeWhole, false);
        return unmapped == MemoryResult.Ok
            ? FromStage2ForFault(ref machine, _table.Map(ref machine, start, page, level, attributes))
            : FaultResult.Defect;
    }
}
