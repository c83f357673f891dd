using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>What the host does with the file and with its VMMs' anonymous memory, page by page.</summary>
internal sealed class HostMemory<TFormat, TMachine>(ProgramMachine<TFormat, TMachine> machine)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private Judge Judge => machine.Judge;

    public void Change(Guest<TFormat, TMachine> guest, int index, ProgramStep step)
    {
        guest.Port.Pe = machine.MonitorPe;
        bool isFile = step.Operation is Operation.MunmapFile or Operation.WriteBack or Operation.WriteFile
            || (step.Operation is Operation.MunmapPinned or Operation.Protect && (step.Choice & 1) != 0);
        Place place = Places<TFormat>.At(isFile ? Region.File : Region.Anonymous, index);
        ulong frame = isFile ? machine.Frames.OfFile(place.Index) : guest.Frames[place.Index];
        if (frame == 0 || (!isFile && guest.Unmapping.Covers(place.Ipa)))
        {
            // What the host has begun to free it does not remap or swap out meanwhile.
            return;
        }

        var page = new Pa(frame);
        string where = Places<TFormat>.WhereOf(place);
        machine.Story.Step?.Invoke(Narrator.Words(guest.Name, step.Operation, where));
        switch (step.Operation)
        {
            case Operation.WriteBack:
                Judge.Consume(page, "write-back", where, isCached: true);
                break;
            case Operation.WriteFile:
                Judge.Write(
                    page, Places<TFormat>.Granule, Judge.Hypervisor, machine.Frames.File, isCached: true);
                break;
            case Operation.MovePage:
                // Of these pages none is mapped read-only.
                break;
            default:
                Unmap(guest, place, page, step.Operation);
                break;
        }
    }

    private void Unmap(Guest<TFormat, TMachine> guest, Place place, Pa page, Operation operation)
    {
        (NotifierEvent why, PageFate fate) = operation switch
        {
            Operation.MunmapPinned => (NotifierEvent.Unmap, PageFate.Unknown),
            Operation.MunmapFile => (
                NotifierEvent.Unmap,
                machine.IsMappedElsewhere(guest, place.Ipa) ? PageFate.StillMappedElsewhere : PageFate.FileBacked),
            Operation.MunmapAnonymous => (NotifierEvent.Unmap, PageFate.AnonymousLastMappingFreed),
            Operation.Mremap => (NotifierEvent.Unmap, PageFate.KeptByRemap),
            Operation.SwapOut => (NotifierEvent.Clear, PageFate.SwappedToNonSnoopingDevice),
            Operation.Migrate => (NotifierEvent.Clear, PageFate.CopiedToNewFrame),
            _ => (NotifierEvent.ProtectionPage, PageFate.StaysInPlace),
        };
        bool wasMapped = guest.Translate(place.Ipa).IsMapped;
        machine.Unmap(guest, place.Ipa, place.Ipa + Places<TFormat>.Granule, why, fate);
        if (operation == Operation.SwapOut && (machine.Options.Features.ForcedWriteBack || !wasMapped))
        {
            // The driver's own maintenance: with FEAT_S2FWB always, else for what no guest can have written since.
            Judge.GuestMaintains(page, CacheKind.Clean);
        }

        AfterUnmap(guest, place, page, operation);
    }

    /// <summary>Who reads the page now: the reason why maintenance is done at all.</summary>
    private void AfterUnmap(Guest<TFormat, TMachine> guest, Place place, Pa page, Operation operation)
    {
        string where = Places<TFormat>.WhereOf(place);
        switch (operation)
        {
            case Operation.MunmapPinned:
                Judge.Consume(page, "a driver that has it pinned", where, isCached: true);
                break;
            case Operation.Mremap:
                Judge.Consume(page, "the process that remapped it", where, isCached: true);
                break;
            case Operation.MunmapFile when machine.IsMappedElsewhere(guest, place.Ipa):
                Judge.Consume(page, "another VM that still maps it", where, isCached: true);
                break;
            case Operation.MunmapAnonymous:
                machine.Frames.Return(page.Value);
                guest.Frames[place.Index] = 0;
                break;
            case Operation.SwapOut:
                Judge.Consume(page, "a device that does not snoop", where, isCached: false);
                break;
            case Operation.Migrate when machine.Frames.TryCopy(page, where, guest.Anonymous, out ulong copy):
                guest.Frames[place.Index] = copy;
                machine.Frames.Return(page.Value);
                break;
            default:
                break;
        }
    }
}
