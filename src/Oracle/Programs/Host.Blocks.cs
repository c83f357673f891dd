using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

// A file in huge pages: the host answers with a page or with the whole block, read-only or not, copies pages on write,
// and moves pages that are mapped.
public partial class Host<TFormat, TMachine>
{
    private const int HugeRegion = 4;
    private const ulong HugeStart = 0x1_8000_0000;
    private const ulong HugeFile = 0xA_0000_0000;
    private const ulong HugeBytes = FramePool.ChunkBytes;
    private const int BlockLevel = Stage2Geometry.LastLevel - 1;

    private static readonly int[] _hugePages = [0, 1, 2, 255, 256, 509, 510, 511];

    private static Place HugePlace(int index) =>
        new(HugeRegion, index, HugeStart + ((ulong)_hugePages[index] * Granule));

    private static ulong HugeFrame(int index) => HugeFile + ((ulong)_hugePages[index] * Granule);

    private void AddHugeFile()
    {
        Judge.AddMemory(new Pa(HugeFile), HugeBytes, isPool: false, isZero: false);
        Judge.Own(new Pa(HugeFile), HugeBytes, _file);
        Judge.Write(new Pa(HugeFile), HugeBytes, Judge.Hypervisor, _file, isCached: true);
    }

    /// <summary>Choice: bit 0 a block, bit 1 read-only if it may be, bit 2 a copy on write.</summary>
    private void SupplyHuge(Guest guest, Place place, AccessKind kind, int choice, ref FaultTicket ticket)
    {
        bool isWritable = kind == AccessKind.Write || (choice & 2) == 0;
        ref ulong copy = ref guest.Copies[place.Index];
        if (copy == 0 && kind == AccessKind.Write && (choice & 4) != 0)
        {
            TryCopy(guest, HugeFrame(place.Index), out copy);
        }

        if ((choice & 1) != 0 && !System.MemoryExtensions.ContainsAnyExcept(guest.Copies, 0UL))
        {
            ticket.Supply(new Pa(HugeFile), BlockLevel, isWritable);
        }
        else
        {
            ticket.Supply(new Pa(copy != 0 ? copy : HugeFrame(place.Index)), Stage2Geometry.LastLevel, isWritable);
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
        string where = WhereOf(place);
        guest.Port.Pe = MonitorPe;
        bool isWhole = (step.Choice & 1) != 0;
        switch (step.Operation)
        {
            case Operation.WriteBack:
                Judge.Consume(new Pa(HugeFrame(place.Index)), "write-back", where, isCached: true);
                break;
            case Operation.Migrate:
                MoveHuge(guest, place);
                break;
            case Operation.MunmapFile or Operation.Protect:
                bool isUnmap = step.Operation == Operation.MunmapFile;
                Tell?.Invoke(isUnmap
                    ? $"munmap of {(isWhole ? "the huge file" : where)} in {guest.Name}"
                    : $"the protection of {(isWhole ? "the huge file" : where)} in {guest.Name} changes");
                PageFate fate = !isUnmap ? PageFate.StaysInPlace
                    : IsMappedElsewhere(guest, place.Ipa) ? PageFate.StillMappedElsewhere : PageFate.FileBacked;
                Judge.BeginCall(guest.Judged);
                Unmap(
                    guest, isWhole ? HugeStart : place.Ipa, isWhole ? HugeStart + HugeBytes : place.Ipa + Granule,
                    isUnmap ? NotifierEvent.Unmap : NotifierEvent.ProtectionPage, fate);
                EndChange(guest);
                for (int index = 0; isUnmap && index < guest.Copies.Length; index++)
                {
                    if (guest.Copies[index] != 0 && (isWhole || index == place.Index))
                    {
                        FreeFrame(guest.Copies[index]);
                        guest.Copies[index] = 0;
                    }
                }

                if (isUnmap && isWhole && !IsHugeMapped())
                {
                    Tell?.Invoke("  a process of the host writes all of the huge file");
                    Judge.Write(new Pa(HugeFile), HugeBytes, Judge.Hypervisor, _file, isCached: true);
                }

                break;
            default:
                break;
        }
    }

    private bool IsHugeMapped()
    {
        for (int index = 0; index < _hugePages.Length; index++)
        {
            foreach (Guest? guest in _guests)
            {
                if (guest is not null
                    && guest.Memory.Translate(ref guest.Machine, new Ipa(HugePlace(index).Ipa)).IsMapped)
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>The host moves a page that nobody can write (the notifier's change_pte): it copies, then replaces.</summary>
    private void MoveHuge(Guest guest, Place place)
    {
        Translation now = guest.Memory.Translate(ref guest.Machine, new Ipa(place.Ipa));
        if (!now.IsMapped || now.Level != Stage2Geometry.LastLevel || now.Attributes.Write
            || !TryCopy(guest, now.Output.Value, out ulong copy))
        {
            return;
        }

        Tell?.Invoke($"the host moves {WhereOf(place)}, mapped read-only in {guest.Name}");
        Judge.BeginCall(guest.Judged);
        MemoryResult result = guest.Memory.ReplaceHostPage(ref guest.Machine, new Ipa(place.Ipa), new Pa(copy));
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
}
