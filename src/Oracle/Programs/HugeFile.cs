using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// A file in huge pages. The host answers a fault on it with one page or with the whole block, read-only or not; copies
/// pages on write; moves pages that are mapped, and whole blocks.
/// </summary>
internal sealed class HugeFile<TFormat, TMachine>(ProgramMachine<TFormat, TMachine> machine)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private const ulong Memory = 0xA_0000_0000;

    /// <summary>Where each block of the file lies; 0 before the file is used.</summary>
    private readonly ulong[] _blocks = new ulong[Places<TFormat>.HugeBlocks];

    /// <summary>A block of memory that is free.</summary>
    private ulong _spare;

    /// <summary>Whether a program has come to the file.</summary>
    public bool IsUsed => _blocks[0] != 0;

    private Judge Judge => machine.Judge;

    private static ulong Granule => Places<TFormat>.Granule;

    private static ulong BlockSize => Places<TFormat>.BlockSize;

    private static ulong Start => Places<TFormat>.StartOf(Region.Huge);

    /// <summary>The file's memory is there from its first use on: programs that do without are faster.</summary>
    public void Use()
    {
        if (IsUsed)
        {
            return;
        }

        ulong bytes = Places<TFormat>.BytesOf(Region.Huge);
        Judge.AddMemory(new Pa(Memory), bytes + BlockSize, isPool: false, isZero: false);
        Judge.Own(new Pa(Memory), bytes, machine.Frames.File);
        Judge.Write(new Pa(Memory), bytes, Judge.Hypervisor, machine.Frames.File, isCached: true);
        for (int block = 0; block < _blocks.Length; block++)
        {
            _blocks[block] = Memory + ((ulong)block * BlockSize);
        }

        _spare = Memory + bytes;
    }

    /// <summary>
    /// The host's answer to a fault. Choice: bit 0 the block, bit 1 read-only if it may be, bit 2 a copy on write,
    /// where the mapping is private.
    /// </summary>
    public void Supply(
        Guest<TFormat, TMachine> guest, Place place, AccessKind kind, int choice, ref FaultTicket ticket)
    {
        bool isWritable = kind == AccessKind.Write || (choice & 2) == 0;
        ref ulong copy = ref guest.Copies[place.Index];
        if (copy == 0 && guest.IsPrivate && kind == AccessKind.Write && (choice & 4) != 0)
        {
            machine.Frames.TryCopy(
                new Pa(FrameOf(place.Ipa)), "a page of the huge file", guest.Anonymous, out copy);
        }

        // A block would put the file's pages where the VMM has its own copies.
        int block = Places<TFormat>.BlockOf(place.Ipa);
        bool hasCopies = guest.Copies.AsSpan(block * Places<TFormat>.PlacesPerBlock, Places<TFormat>.PlacesPerBlock)
            .ContainsAnyExcept(0UL);
        if ((choice & 1) != 0 && !hasCopies)
        {
            ticket.Supply(new Pa(_blocks[block]), Places<TFormat>.HostBlockLevel, isWritable);
        }
        else
        {
            ticket.Supply(new Pa(copy != 0 ? copy : FrameOf(place.Ipa)), Stage2Geometry.LastLevel, isWritable);
        }
    }

    public void Change(Guest<TFormat, TMachine> guest, Place place, ProgramStep step)
    {
        guest.Port.Pe = machine.MonitorPe;
        string where = Places<TFormat>.WhereOf(place);
        switch (step.Operation)
        {
            case Operation.WriteBack:
                machine.Story.Step?.Invoke(Narrator.Words(guest.Name, step.Operation, where));
                Judge.Consume(new Pa(FrameOf(place.Ipa)), "write-back", where, isCached: true);
                break;
            case Operation.WriteFile:
                bool isWhole = (step.Choice & 1) != 0;
                machine.Story.Step?.Invoke(
                    $"a process of the host writes {(isWhole ? "the whole block around " : "")}{where}");
                ulong start = isWhole ? _blocks[Places<TFormat>.BlockOf(place.Ipa)] : FrameOf(place.Ipa);
                Judge.Write(
                    new Pa(start), isWhole ? BlockSize : Granule, Judge.Hypervisor, machine.Frames.File,
                    isCached: true);
                break;
            case Operation.MovePage:
                MovePage(guest, place);
                break;
            case Operation.Migrate:
                MoveBlock(Places<TFormat>.BlockOf(place.Ipa), guest);
                break;
            case Operation.MunmapFile or Operation.UnmapPool:
                (ulong from, ulong to) = RangeAt(place, step.Choice);
                Unmap(guest, from, to, NotifierEvent.Unmap);
                AfterUnmap(guest, from, to);
                break;
            case Operation.Protect:
                (from, to) = RangeAt(place, step.Choice);
                Unmap(guest, from, to, NotifierEvent.ProtectionPage);
                break;
            default:
                break;
        }
    }

    /// <summary>One page, three, the block around, or all.</summary>
    public static (ulong From, ulong To) RangeAt(Place place, int choice)
    {
        ulong block = Start + ((ulong)Places<TFormat>.BlockOf(place.Ipa) * BlockSize);
        ulong end = Places<TFormat>.EndOf(Region.Huge);
        return (choice & 3) switch
        {
            0 => (place.Ipa, place.Ipa + Granule),
            1 => (place.Ipa, Math.Min(place.Ipa + (3 * Granule), end)),
            2 => (block, block + BlockSize),
            _ => (Start, end),
        };
    }

    /// <summary>
    /// The VMM unmapped a range: its own copies there are freed, and other VMs read what they still map.
    /// </summary>
    public void AfterUnmap(Guest<TFormat, TMachine> guest, ulong from, ulong to)
    {
        for (int index = 0; index < Places<TFormat>.HugePlaces; index++)
        {
            Place place = Places<TFormat>.Huge(index);
            if (place.Ipa < from || place.Ipa >= to)
            {
                continue;
            }

            if (guest.Copies[index] != 0)
            {
                machine.Frames.Return(guest.Copies[index]);
                guest.Copies[index] = 0;
            }

            if (machine.IsMappedElsewhere(guest, place.Ipa))
            {
                Judge.Consume(
                    new Pa(FrameOf(place.Ipa)), "another VM that still maps it", Places<TFormat>.WhereOf(place),
                    isCached: true);
            }
        }
    }

    /// <summary>
    /// The host frees the file's pages of a range that one VM has no longer mapped, and puts others there: the other
    /// VMs lose them first.
    /// </summary>
    public void Punch(Guest<TFormat, TMachine> first, ulong from, ulong to)
    {
        machine.Story.Step?.Invoke($"the host frees {(to - from) / Granule} pages of the huge file, from page "
            + $"{(from - Start) / Granule} on");
        foreach (Guest<TFormat, TMachine>? guest in machine.Guests)
        {
            if (guest is not null && guest != first)
            {
                guest.Port.DoAs(first.Port);
                guest.Port.Pe = machine.MonitorPe;
                machine.Unmap(guest, from, to, NotifierEvent.Clear, PageFate.FileBacked);
            }
        }

        for (ulong at = from; at < to; at = Math.Min(to, (at / BlockSize * BlockSize) + BlockSize))
        {
            ulong bytes = Math.Min(to, (at / BlockSize * BlockSize) + BlockSize) - at;
            Judge.ReturnFrames(new Pa(FrameOf(at)), bytes);
            Judge.Write(new Pa(FrameOf(at)), bytes, Judge.Hypervisor, machine.Frames.File, isCached: true);
        }
    }

    /// <summary>The fate of a range that a VMM unmaps.</summary>
    public PageFate FateOf(Guest<TFormat, TMachine> guest, ulong from, ulong to)
    {
        for (int index = 0; index < Places<TFormat>.HugePlaces; index++)
        {
            ulong ipa = Places<TFormat>.Huge(index).Ipa;
            if (ipa >= from && ipa < to && machine.IsMappedElsewhere(guest, ipa))
            {
                return PageFate.StillMappedElsewhere;
            }
        }

        return PageFate.FileBacked;
    }

    private ulong FrameOf(ulong ipa) => _blocks[Places<TFormat>.BlockOf(ipa)] + ((ipa - Start) % BlockSize);

    private void Unmap(Guest<TFormat, TMachine> guest, ulong from, ulong to, NotifierEvent why)
    {
        string what = why == NotifierEvent.Unmap ? "munmap" : "mprotect";
        machine.Story.Step?.Invoke($"{guest.Name}: {what} of {(to - from) / Granule} pages of the huge file, from page "
            + $"{(from - Start) / Granule} on");
        machine.Unmap(
            guest, from, to, why, why == NotifierEvent.Unmap ? FateOf(guest, from, to) : PageFate.StaysInPlace);
    }

    /// <summary>The host copies a page that no guest can write, and replaces it in one call.</summary>
    private void MovePage(Guest<TFormat, TMachine> guest, Place place)
    {
        Translation now = guest.Translate(place.Ipa);
        if (!guest.IsPrivate || !now.IsMapped || now.Level != Stage2Geometry.LastLevel || now.Attributes.Write
            || !machine.Frames.TryCopy(now.Output, "a page of the huge file", guest.Anonymous, out ulong copy))
        {
            return;
        }

        machine.Story.Step?.Invoke(
            $"{guest.Name}: the host moves {Places<TFormat>.WhereOf(place)}, which is mapped read-only");
        Judge.BeginCall(guest.Judged);
        MemoryResult result = guest.Memory.ReplaceHostPage(ref guest.Machine, new Ipa(place.Ipa), new Pa(copy)).Sound();
        machine.EndChange(guest);
        ulong old = result == MemoryResult.Ok ? guest.Copies[place.Index] : copy;
        if (result == MemoryResult.Ok)
        {
            guest.Copies[place.Index] = copy;
        }

        if (old != 0)
        {
            machine.Frames.Return(old);
        }
    }

    /// <summary>A block of the file moves: it leaves every VM first, then it is copied.</summary>
    private void MoveBlock(int block, Guest<TFormat, TMachine> first)
    {
        ulong from = Start + ((ulong)block * BlockSize);
        machine.Story.Step?.Invoke($"the host moves block {block} of the huge file");
        foreach (Guest<TFormat, TMachine>? guest in machine.Guests)
        {
            if (guest is not null)
            {
                guest.Port.DoAs(first.Port);
                guest.Port.Pe = machine.MonitorPe;
                machine.Unmap(guest, from, from + BlockSize, NotifierEvent.Clear, PageFate.CopiedToNewFrame);
            }
        }

        ulong old = _blocks[block];
        for (int index = 0; index < Places<TFormat>.PlacesPerBlock; index++)
        {
            Place place = Places<TFormat>.Huge((block * Places<TFormat>.PlacesPerBlock) + index);
            Judge.Consume(
                new Pa(FrameOf(place.Ipa)), "the host, copying", Places<TFormat>.WhereOf(place), isCached: true);
        }

        Judge.Own(new Pa(_spare), BlockSize, machine.Frames.File);
        Judge.Write(new Pa(_spare), BlockSize, Judge.Hypervisor, machine.Frames.File, isCached: true);
        _blocks[block] = _spare;
        _spare = old;
        Judge.ReturnFrames(new Pa(old), BlockSize);
    }
}
