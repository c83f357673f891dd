using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

// The MMU notifier: from a range of the process to ranges of its VMs' memory, with the event and the pages' fate.
public sealed partial class HostProcess
{
    /// <summary>What becomes of the page at an address, which lies in an area and may not be present.</summary>
    private delegate PageFate FateRule(MemoryArea area, ulong address, HostPage page);

    /// <summary>What becomes of a page that the process gives up.</summary>
    private PageFate Departure(MemoryArea area, ulong address, HostPage page) =>
        area.HasPageCache ? PageFate.FileBacked
        : page.IsPresent && Host.Frames.IsShared(FrameOf(address, page)) ? PageFate.StillMappedElsewhere
        : PageFate.AnonymousLastMappingFreed;

    /// <summary>Tells the VMs that a range changes, changes it, and tells them that it has changed.</summary>
    private bool Change(ulong start, ulong bytes, NotifierEvent why, FateRule fateOf, Action change)
    {
        if (!IsAlive || bytes == 0 || ((start | bytes) & (ProcessPages.PageBytes - 1)) != 0
            || start + bytes < start || !IsMapped(start, start + bytes))
        {
            return false;
        }

        List<IMemoryHook> told = [];
        foreach (HostedVm vm in _vms)
        {
            if (!vm.Hook.Exists)
            {
                continue;
            }

            int before = told.Count;
            bool owesFlush = false;
            foreach (HostedVm.Slot slot in vm.Slots)
            {
                ulong from = Math.Max(start, slot.Address);
                ulong to = Math.Min(start + bytes, slot.End);
                if (from < to)
                {
                    owesFlush |= Tell(vm.Hook, slot, from, to, why, fateOf, told);
                }
            }

            if (owesFlush || (told.Count == before && vm.Hook.OwesFlushElsewhere(why)))
            {
                // Once for all the ranges of this change, and before anything of it is freed.
                vm.Hook.FlushRemote();
            }
        }

        change();
        foreach (IMemoryHook vm in told)
        {
            _ = vm.EndNotify();
        }

        return true;
    }

    /// <summary>
    /// Begins one invalidation for each run of pages of the same fate. Whether a remote flush is owed for any.
    /// </summary>
    private bool Tell(
        IMemoryHook vm, HostedVm.Slot slot, ulong from, ulong to, NotifierEvent why, FateRule fateOf,
        List<IMemoryHook> told)
    {
        bool owesFlush = false;
        while (from < to)
        {
            ulong end = EndOfFate(from, to, fateOf, out PageFate fate);
            var range = new NotifierRange(
                new Ipa(slot.Ipa + (from - slot.Address)), new Ipa(slot.Ipa + (end - slot.Address)), why, true, fate);
            vm.Pe = Pe;
            MemoryResult result = vm.BeginNotify(in range, out bool owed);
            owesFlush |= owed;
            if (result != MemoryResult.Ok)
            {
                throw new SimulationException(
                    $"a VM could not follow its host's {why} ({result})", "Give the server more memory for tables.");
            }

            told.Add(vm);
            from = end;
        }

        return owesFlush;
    }

    private ulong EndOfFate(ulong from, ulong to, FateRule fateOf, out PageFate fate)
    {
        MemoryArea? area = AreaAt(from);
        if (area == null)
        {
            // An address that is not mapped in the process is not mapped in the VM either.
            fate = PageFate.Unknown;
            return from + ProcessPages.PageBytes;
        }

        fate = fateOf(area, from, _pages[from]);
        if (!Host.Frames.AnyShared)
        {
            return Math.Min(to, area.End);
        }

        ulong end = from + ProcessPages.PageBytes;
        while (end < to && end < area.End && fateOf(area, end, _pages[end]) == fate)
        {
            end += ProcessPages.PageBytes;
        }

        return end;
    }

    /// <summary>
    /// The release callback. A slot was given one fate for the VM's death; pages that have another by now, since a
    /// child shares them, are unmapped by their own first where the policy goes by fate.
    /// </summary>
    private void ReleaseVm(HostedVm vm)
    {
        vm.Hook.Pe = Pe;
        if (PolicyRules.DecidesByFate(vm.Hook.Policy) && Host.Frames.AnyShared)
        {
            foreach (HostedVm.Slot slot in vm.Slots)
            {
                List<IMemoryHook> told = [];
                bool owesFlush = false;
                for (ulong from = slot.Address; from < slot.End;)
                {
                    ulong end = EndOfFate(from, slot.End, Departure, out PageFate fate);
                    if (fate == PageFate.StillMappedElsewhere)
                    {
                        owesFlush |= Tell(vm.Hook, slot, from, end, NotifierEvent.Unmap, Departure, told);
                    }

                    from = end;
                }

                if (owesFlush)
                {
                    vm.Hook.FlushRemote();
                }

                told.ForEach(static memory => memory.EndNotify());
            }
        }

        vm.Hook.Release();
    }
}
