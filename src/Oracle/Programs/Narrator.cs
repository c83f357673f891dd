using System;
using System.Globalization;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>Puts a program into plain words, where a reader wants it.</summary>
internal sealed class Narrator(ProgramOptions options)
{
    private StoryTeller? _story;
    private Action<string>? _step;

    /// <summary>Takes the text of a step, or of what happens within one; null where there is no reader.</summary>
    public Action<string>? Step => IsWithinStep && _story is not null ? Meanwhile : _step;

    /// <summary>What is told happens within the last step.</summary>
    public bool IsWithinStep { get; set; }

    /// <summary>Lines go there from now on.</summary>
    public void TellTo(Action<string>? line, Func<ulong> sequence)
    {
        _story = line is null ? null : new StoryTeller(line, sequence);
        _step = _story is null ? null : _story.Step;
    }

    /// <summary>What happened within the last step.</summary>
    public void Meanwhile(string text) => _story?.Detail("meanwhile", text);

    /// <summary>What the program came to.</summary>
    public void End(Violation violation) => _story?.End(violation);

    /// <summary>What the last step leaves out, and by which licence.</summary>
    public void LeftOut(UnmapOperation operation, NotifierEvent why, PageFate fate)
    {
        if (_story is null)
        {
            return;
        }

        var facts = new ElisionFacts(fate, options.Features.ForcedWriteBack, options.UncachedGuests);
        UnmapFlags flags = Elision.For(options.Policy, operation, why, facts);
        if (Licence.LeftOut(flags) is string what)
        {
            _story.Detail("left out", what);
            _story.Detail("licence", operation == UnmapOperation.Release
                ? Licence.OfRelease(options.Policy)
                : Licence.OfRange(options.Policy, facts));
        }
    }

    /// <summary>What the last step issued.</summary>
    public void Issued(VmPort port) => _story?.Detail("issued", string.Create(
        CultureInfo.InvariantCulture, $"{port.Invalidations} TLBI, {port.Maintained} ranges of cache maintenance"));

    /// <summary>What an operation on the pool's memory, or the host's, is in words.</summary>
    public static string Words(string vm, Operation operation, string where) => operation switch
    {
        Operation.UnmapPool => $"{vm}: a range is unmapped, from {where} on, and its frames are freed",
        Operation.ReplaceSlot => $"{vm}: the slot of {where} is removed, and added again empty",
        Operation.StartLog => $"{vm}: dirty logging begins, of the slot of {where}; what is mapped is copied",
        Operation.ReadLog => $"{vm}: the dirty log is read, of the slot of {where}; what it names is copied",
        Operation.StopLog => $"{vm}: dirty logging ends, of the slot of {where}",
        Operation.Age => $"{vm}: access flags are cleared, of the slot of {where}",
        Operation.MunmapPinned => $"{vm}: munmap of {where}, which a driver has pinned",
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
}
