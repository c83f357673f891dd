using System;
using System.Runtime.InteropServices;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>What the monitor does with memory out of the pool, with slots as such, and with their dirty logs.</summary>
internal sealed class PoolMemory<TFormat, TMachine>(ProgramMachine<TFormat, TMachine> machine)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private readonly Migration<TFormat, TMachine> _migration = new(machine);

    public void Change(Guest<TFormat, TMachine> guest, Place place, ProgramStep step)
    {
        guest.Port.Pe = machine.MonitorPe;
        bool isAnySlot = step.Operation == Operation.Age || place.Region is Region.Block or Region.Huge;
        Region region = isAnySlot ? place.Region : Region.Small;
        Place told = region == place.Region ? place : Places<TFormat>.At(region, 0);
        machine.Story.Step?.Invoke(Narrator.Words(guest.Name, step.Operation, Places<TFormat>.WhereOf(told)));
        if (step.Operation == Operation.UnmapPool)
        {
            Unmap(guest, place, region, step.Choice);
            return;
        }

        machine.Judge.BeginCall(guest.Judged);
        switch (step.Operation)
        {
            case Operation.ReplaceSlot:
                ReplaceSlot(guest, region);
                break;
            case Operation.StartLog:
                if (guest.Memory.StartDirtyLog(ref guest.Machine, guest.SlotOf(region), LogOf(guest, region)).Sound()
                    == MemoryResult.Ok)
                {
                    _migration.CopyAll(guest, region);
                }

                break;
            case Operation.ReadLog:
                Span<ulong> dirty = stackalloc ulong[WordsOf(region)];
                if (guest.Memory.GetAndClearDirtyLog(ref guest.Machine, guest.SlotOf(region), dirty).Sound()
                    == MemoryResult.Ok)
                {
                    _migration.CopyDirty(guest, region, dirty);
                }

                machine.Contract.Copied(ref guest.Machine);
                break;
            case Operation.StopLog:
                guest.Memory.StopDirtyLog(guest.SlotOf(region));
                break;
            default:
                guest.Memory.Age(
                    ref guest.Machine, new Ipa(Places<TFormat>.StartOf(region)), Places<TFormat>.BytesOf(region), out _)
                    .Sound();
                break;
        }

        machine.EndChange(guest);
    }

    /// <summary>Choice: how long the range is, and by which event it goes.</summary>
    private void Unmap(Guest<TFormat, TMachine> guest, Place place, Region region, int choice)
    {
        ulong from = place.Region <= Region.Block ? place.Ipa : Places<TFormat>.StartOf(region);
        ulong length = (choice & 3) switch
        {
            0 => Places<TFormat>.Granule,
            1 => 3 * Places<TFormat>.Granule,
            2 => FramePool.ChunkBytes,
            _ => Places<TFormat>.BytesOf(region),
        };
        machine.Unmap(
            guest, from, Math.Min(from + length, Places<TFormat>.EndOf(region)),
            (choice & 4) != 0 ? NotifierEvent.Clear : NotifierEvent.Unmap, PageFate.AnonymousLastMappingFreed);
    }

    private void ReplaceSlot(Guest<TFormat, TMachine> guest, Region region)
    {
        machine.Story.LeftOut(
            UnmapOperation.SlotRemoval, default,
            region == Region.Huge ? PageFate.FileBacked : PageFate.AnonymousLastMappingFreed);
        ref int slot = ref guest.SlotOf(region);
        if (guest.Memory.TryGetSlot(slot, out MemorySlot old)
            && guest.Memory.RemoveSlot(ref guest.Machine, slot).Sound() == MemoryResult.Ok)
        {
            guest.Memory.AddSlot(
                new Ipa(Places<TFormat>.StartOf(region)), Places<TFormat>.BytesOf(region), old.Options, out slot);
        }
    }

    /// <summary>A region's part of a VM's logs.</summary>
    private static UnmanagedArray<ulong> LogOf(Guest<TFormat, TMachine> guest, Region region)
    {
        int blocks = WordsOf(Region.Block);
        int huge = WordsOf(Region.Huge);
        guest.Log ??= GC.AllocateArray<ulong>(blocks + huge + WordsOf(Region.Small), pinned: true);
        int from = region switch
        {
            Region.Block => 0,
            Region.Huge => blocks,
            _ => blocks + huge,
        };
        return new UnmanagedArray<ulong>(Marshal.UnsafeAddrOfPinnedArrayElement(guest.Log, from), WordsOf(region));
    }

    private static int WordsOf(Region region) =>
        (int)GuestMemory<TFormat, TMachine>.DirtyLogWords(Places<TFormat>.BytesOf(region));
}
