using System;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

// A file in huge pages. The host answers a fault on it with one page or with the whole block, read-only or not; copies
// pages on write; moves pages that are mapped, and whole blocks.
public partial class Host<TFormat, TMachine>
{
    private const int HugeRegion = 4;
    private const int FirstHugePage = 64;
    private const int PlacesPerBlock = 4;
    private const int HostBlockLevel = Stage2Geometry.LastLevel - 1;
    private const ulong HugeStart = 0x1_8000_0000;
    private const ulong HugeMemory = 0xA_0000_0000;

    /// <summary>Where each block of the file lies; 0 before the file is used.</summary>
    private readonly ulong[] _huge = new ulong[HugeBlocks];

    /// <summary>A block of memory that is free.</summary>
    private ulong _spareBlock;

    private static ulong BlockSize => Stage2Geometry.LevelBytes<TFormat>(HostBlockLevel);

    // Two, so that a range ends between them; of the larger granules' 32 MB and 512 MB one is enough to track.
    private static int HugeBlocks => TFormat.GranuleShift == 12 ? 2 : 1;

    private static ulong HugeBytes => (ulong)HugeBlocks * BlockSize;

    private static int HugePlaces => HugeBlocks * PlacesPerBlock;

    /// <summary>Pages at a block's edges and inside.</summary>
    private static Place HugePlace(int index)
    {
        ulong pages = BlockSize / Granule;
        ulong inside = (index % PlacesPerBlock) switch
        {
            0 => 0,
            1 => 1,
            2 => pages / 2,
            _ => pages - 1,
        };
        ulong block = (ulong)(index / PlacesPerBlock);
        return new Place(HugeRegion, index, HugeStart + (((block * pages) + inside) * Granule));
    }

    private static int BlockOf(ulong ipa) => (int)((ipa - HugeStart) / BlockSize);

    private ulong HugeFrame(ulong ipa) => _huge[BlockOf(ipa)] + ((ipa - HugeStart) % BlockSize);

    /// <summary>The file's memory is there from its first use on: programs that do without are faster.</summary>
    private void UseHugeFile()
    {
        if (_huge[0] != 0)
        {
            return;
        }

        Judge.AddMemory(new Pa(HugeMemory), HugeBytes + BlockSize, isPool: false, isZero: false);
        Judge.Own(new Pa(HugeMemory), HugeBytes, _file);
        Judge.Write(new Pa(HugeMemory), HugeBytes, Judge.Hypervisor, _file, isCached: true);
        for (int block = 0; block < HugeBlocks; block++)
        {
            _huge[block] = HugeMemory + ((ulong)block * BlockSize);
        }

        _spareBlock = HugeMemory + HugeBytes;
    }

    /// <summary>
    /// Choice: bit 0 the block, bit 1 read-only if it may be, bit 2 a copy on write, where the mapping is private.
    /// </summary>
    private void SupplyHuge(Guest guest, Place place, AccessKind kind, int choice, ref FaultTicket ticket)
    {
        bool isWritable = kind == AccessKind.Write || (choice & 2) == 0;
        ref ulong copy = ref guest.Copies[place.Index];
        if (copy == 0 && guest.IsPrivate && kind == AccessKind.Write && (choice & 4) != 0)
        {
            TryCopy(guest, HugeFrame(place.Ipa), out copy);
        }

        // A block would put the file's pages where the VMM has its own copies.
        int block = BlockOf(place.Ipa);
        bool hasCopies = guest.Copies.AsSpan(block * PlacesPerBlock, PlacesPerBlock).ContainsAnyExcept(0UL);
        if ((choice & 1) != 0 && !hasCopies)
        {
            ticket.Supply(new Pa(_huge[block]), HostBlockLevel, isWritable);
        }
        else
        {
            ticket.Supply(new Pa(copy != 0 ? copy : HugeFrame(place.Ipa)), Stage2Geometry.LastLevel, isWritable);
        }
    }

    private bool TryCopy(Guest guest, ulong from, out ulong copy)
    {
        if (!_frames.TryPop(out copy))
        {
            return false;
        }

        Judge.Consume(new Pa(from), "the host, copying", "a page of the huge file", isCached: true);
        Judge.Own(new Pa(copy), Granule, guest.Anonymous);
        Judge.Write(new Pa(copy), Granule, Judge.Hypervisor, guest.Anonymous, isCached: true);
        return true;
    }

    private void ChangeHuge(Guest guest, Place place, ProgramStep step)
    {
        guest.Port.Pe = MonitorPe;
        string where = WhereOf(place);
        switch (step.Operation)
        {
            case Operation.WriteBack:
                Tell?.Invoke(Words(guest.Name, step.Operation, where));
                Judge.Consume(new Pa(HugeFrame(place.Ipa)), "write-back", where, isCached: true);
                break;
            case Operation.WriteFile:
                bool isWhole = (step.Choice & 1) != 0;
                Tell?.Invoke($"a process of the host writes {(isWhole ? "the whole block around " : "")}{where}");
                ulong start = isWhole ? _huge[BlockOf(place.Ipa)] : HugeFrame(place.Ipa);
                Judge.Write(new Pa(start), isWhole ? BlockSize : Granule, Judge.Hypervisor, _file, isCached: true);
                break;
            case Operation.MovePage:
                MovePage(guest, place);
                break;
            case Operation.Migrate:
                MoveBlock(BlockOf(place.Ipa), guest);
                break;
            case Operation.MunmapFile or Operation.UnmapPool:
                (ulong from, ulong to) = HugeRange(place, step.Choice);
                UnmapHuge(guest, from, to, NotifierEvent.Unmap);
                DropCopies(guest, from, to);
                ReadShared(guest, from, to);
                break;
            case Operation.Protect:
                (from, to) = HugeRange(place, step.Choice);
                UnmapHuge(guest, from, to, NotifierEvent.ProtectionPage);
                break;
            default:
                break;
        }
    }

    /// <summary>One page, three, the block around, or all.</summary>
    private static (ulong From, ulong To) HugeRange(Place place, int choice)
    {
        ulong block = HugeStart + ((ulong)BlockOf(place.Ipa) * BlockSize);
        return (choice & 3) switch
        {
            0 => (place.Ipa, place.Ipa + Granule),
            1 => (place.Ipa, Math.Min(place.Ipa + (3 * Granule), HugeStart + HugeBytes)),
            2 => (block, block + BlockSize),
            _ => (HugeStart, HugeStart + HugeBytes),
        };
    }

    private void UnmapHuge(Guest guest, ulong from, ulong to, NotifierEvent why)
    {
        string what = why == NotifierEvent.Unmap ? "munmap" : "mprotect";
        Tell?.Invoke($"{guest.Name}: {what} of {(to - from) / Granule} pages of the huge file, from page "
            + $"{(from - HugeStart) / Granule} on");
        PageFate fate = why != NotifierEvent.Unmap ? PageFate.StaysInPlace
            : IsSharedHuge(guest, from, to) ? PageFate.StillMappedElsewhere : PageFate.FileBacked;
        Judge.BeginCall(guest.Judged);
        Unmap(guest, from, to, why, fate);
        EndChange(guest);
    }

    /// <summary>The VMM unmapped the range: its own copies in it are freed.</summary>
    private void DropCopies(Guest guest, ulong from, ulong to)
    {
        for (int index = 0; index < HugePlaces; index++)
        {
            ulong ipa = HugePlace(index).Ipa;
            if (guest.Copies[index] != 0 && ipa >= from && ipa < to)
            {
                FreeFrame(guest.Copies[index]);
                guest.Copies[index] = 0;
            }
        }
    }

    /// <summary>Other VMs read those pages of the range that they still map.</summary>
    private void ReadShared(Guest guest, ulong from, ulong to)
    {
        for (int index = 0; index < HugePlaces; index++)
        {
            Place place = HugePlace(index);
            if (IsSharedHuge(guest, Math.Max(from, place.Ipa), Math.Min(to, place.Ipa + 1)))
            {
                Judge.Consume(
                    new Pa(HugeFrame(place.Ipa)), "another VM that still maps it", WhereOf(place), isCached: true);
            }
        }
    }

    private bool IsSharedHuge(Guest guest, ulong from, ulong to)
    {
        for (int index = 0; index < HugePlaces; index++)
        {
            ulong ipa = HugePlace(index).Ipa;
            if (ipa >= from && ipa < to && IsMappedElsewhere(guest, ipa))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The host copies a page that nobody can write, and replaces it in one call.</summary>
    private void MovePage(Guest guest, Place place)
    {
        Translation now = guest.Memory.Translate(ref guest.Machine, new Ipa(place.Ipa));
        if (!guest.IsPrivate || !now.IsMapped || now.Level != Stage2Geometry.LastLevel || now.Attributes.Write
            || !TryCopy(guest, now.Output.Value, out ulong copy))
        {
            return;
        }

        Tell?.Invoke($"{guest.Name}: the host moves {WhereOf(place)}, which is mapped read-only");
        Judge.BeginCall(guest.Judged);
        MemoryResult result = Sound(
            guest.Memory.ReplaceHostPage(ref guest.Machine, new Ipa(place.Ipa), new Pa(copy)));
        EndChange(guest);
        ulong old = result == MemoryResult.Ok ? guest.Copies[place.Index] : copy;
        if (result == MemoryResult.Ok)
        {
            guest.Copies[place.Index] = copy;
        }

        if (old != 0)
        {
            FreeFrame(old);
        }
    }

    /// <summary>A block of the file moves: it leaves every VM first, then it is copied.</summary>
    private void MoveBlock(int block, Guest first)
    {
        ulong from = HugeStart + ((ulong)block * BlockSize);
        Tell?.Invoke($"the host moves block {block} of the huge file");
        foreach (Guest? guest in _guests)
        {
            if (guest is not null)
            {
                Ready(guest, first.Port);
                guest.Port.Pe = MonitorPe;
                Judge.BeginCall(guest.Judged);
                Unmap(guest, from, from + BlockSize, NotifierEvent.Clear, PageFate.CopiedToNewFrame);
                EndChange(guest);
            }
        }

        ulong old = _huge[block];
        for (int index = 0; index < PlacesPerBlock; index++)
        {
            Place place = HugePlace((block * PlacesPerBlock) + index);
            Judge.Consume(new Pa(HugeFrame(place.Ipa)), "the host, copying", WhereOf(place), isCached: true);
        }

        Judge.Own(new Pa(_spareBlock), BlockSize, _file);
        Judge.Write(new Pa(_spareBlock), BlockSize, Judge.Hypervisor, _file, isCached: true);
        _huge[block] = _spareBlock;
        _spareBlock = old;
        Judge.ReturnFrames(new Pa(old), BlockSize);
    }

    /// <summary>What happens in between for one VM does for another one, too.</summary>
    private static void Ready(Guest guest, VmPort like)
    {
        guest.Port.Current = like.Current;
        guest.Port.Between = like.Between;
        guest.Port.Records.SetsAccessFlag = like.Records.SetsAccessFlag;
    }
}
