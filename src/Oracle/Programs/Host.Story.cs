using System;
using System.Globalization;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

// The program in plain words.
public partial class Host<TFormat, TMachine>
{
    private StoryTeller? _story;

    /// <summary>Takes each line of the story, when somebody wants it; what is given to it is told as a step.</summary>
    public Action<string>? Tell
    {
        get => _story is null ? null : _story.Step;
        set => _story = value is null ? null : new StoryTeller(value, () => Judge.Sequence);
    }

    /// <summary>Tells what the program came to.</summary>
    public void TellEnd(Violation violation) => _story?.End(violation);

    /// <summary>What an operation on the pool's memory, or the host's, is in words.</summary>
    private static string Words(string vm, Operation operation, string where) => operation switch
    {
        Operation.UnmapPool => $"{vm}: a range is unmapped, from {where} on, and its frames are freed",
        Operation.ReplaceSlot => $"{vm}: the slot of {where} is removed, and added again empty",
        Operation.StartLog => $"{vm}: dirty logging begins, of the slot of {where}; what is mapped is copied",
        Operation.ReadLog => $"{vm}: the dirty log is read, of the slot of {where}; what it names is copied",
        Operation.StopLog => $"{vm}: dirty logging ends, of the slot of {where}",
        Operation.Age => $"{vm}: access flags are cleared, of the slot of {where}",
        Operation.MunmapPinned => $"{vm}: munmap of {where}, which somebody else has pinned",
        Operation.MunmapFile => $"{vm}: munmap of {where}",
        Operation.MunmapAnonymous => $"{vm}: munmap of {where}; its frame is freed",
        Operation.Mremap => $"{vm}: mremap of {where}: the process has it at another address",
        Operation.SwapOut => $"{vm}: swap-out of {where}, by a device that does not snoop",
        Operation.Migrate => $"{vm}: migration of {where} to another frame",
        Operation.Protect => $"{vm}: mprotect of {where}: it leaves Stage-2 and stays where it is",
        Operation.WriteBack => $"the host writes {where} back to its file",
        Operation.WriteFile => $"a process of the host writes {where}",
        _ => $"{vm}: {operation} of {where}",
    };

    private void TellLeftOut(UnmapOperation operation, NotifierEvent why, PageFate fate)
    {
        if (_story is null)
        {
            return;
        }

        var facts = new ElisionFacts(fate, _options.Features.ForcedWriteBack, _options.UncachedGuests);
        UnmapFlags flags = Elision.For(_options.Policy, operation, why, facts);
        if (Licence.LeftOut(flags) is string what)
        {
            _story.Detail("left out", what);
            _story.Detail("licence", operation == UnmapOperation.Release
                ? Licence.OfRelease(_options.Policy)
                : Licence.OfRange(_options.Policy, facts));
        }
    }

    private void TellIssued(Guest guest) => _story?.Detail("issued", string.Create(
        CultureInfo.InvariantCulture,
        $"{guest.Port.Invalidations} TLBI, {guest.Port.Maintained} ranges of cache maintenance"));
}
