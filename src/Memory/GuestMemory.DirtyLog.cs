using System;
using Quietus.Stage2;

namespace Quietus.Memory;

// Dirty logging: a slot is write-protected, the first write to each page faults, is noted and let through.
public partial struct GuestMemory<TFormat, TMachine>
{
    /// <summary>Words that the dirty log of so many bytes of slot needs: one bit per granule.</summary>
    public static ulong DirtyLogWords(ulong bytes) => ((bytes >> TFormat.GranuleShift) + 63) >> 6;

    /// <summary>
    /// Starts to log writes to a slot: nothing is dirty, and everything is write-protected when this returns.
    /// Blocks stay until they are written, and are split then.
    /// </summary>
    /// <param name="machine">The VM's machine.</param>
    /// <param name="number">The slot.</param>
    /// <param name="log">Memory for the log, <see cref="DirtyLogWords"/> long; the slot's until logging stops.</param>
    public MemoryResult StartDirtyLog(ref TMachine machine, int number, UnmanagedArray<ulong> log)
    {
        if (!Exists)
        {
            return MemoryResult.NoMemory;
        }

        if (!_slots.Exists(number))
        {
            return MemoryResult.NoSuchSlot;
        }

        ref MemorySlot slot = ref _slots[number];
        int words = (int)DirtyLogWords(slot.Bytes);
        if (slot.IsLogged || log.Count < words)
        {
            return MemoryResult.BadArgument;
        }

        for (int i = 0; i < words; i++)
        {
            log[i] = 0;
        }

        slot.Dirty = log;
        slot.IsLogged = true;
        slot.OrdinaryLeaf = 0;
        var cursor = new RangeCursor(slot.Start, slot.Bytes);
        Stage2Result result = _table.WriteProtect(
            ref machine, ref cursor, PartialBlock.TakeWhole, out MaintenanceDebt debt);
        _table.Settle(ref machine, ref debt);
        return FromStage2(result);
    }

    /// <summary>
    /// Hands out which pages were written since the last call, and starts over: each of them is write-protected
    /// again before this returns, so that a later write shows in the next call.
    /// </summary>
    /// <param name="machine">The VM's machine.</param>
    /// <param name="number">The slot.</param>
    /// <param name="dirty">
    /// Receives <see cref="DirtyLogWords"/> words; bit n of word w is page 64 w + n of the slot.
    /// </param>
    public MemoryResult GetAndClearDirtyLog(ref TMachine machine, int number, Span<ulong> dirty)
    {
        if (!Exists)
        {
            return MemoryResult.NoMemory;
        }

        if (!_slots.Exists(number))
        {
            return MemoryResult.NoSuchSlot;
        }

        ref MemorySlot slot = ref _slots[number];
        if (!slot.IsLogged)
        {
            return MemoryResult.NotLogged;
        }

        int words = (int)DirtyLogWords(slot.Bytes);
        if (dirty.Length < words)
        {
            return MemoryResult.BadArgument;
        }

        MaintenanceDebt owed = default;
        MemoryResult result = MemoryResult.Ok;
        for (int word = 0; word < words; word++)
        {
            ulong bits = slot.Dirty[word];
            dirty[word] = bits;
            slot.Dirty[word] = 0;
            if (bits == 0)
            {
                continue;
            }

            ulong start = (ulong)word << (6 + TFormat.GranuleShift);
            ulong bytes = Smaller(64UL << TFormat.GranuleShift, slot.Bytes - start);
            var cursor = new RangeCursor(slot.Start + start, bytes);
            Stage2Result protectedWord = _table.WriteProtect(
                ref machine, ref cursor, PartialBlock.TakeWhole, out MaintenanceDebt debt);
            owed.Add(in debt);
            result = protectedWord == Stage2Result.Done ? result : FromStage2(protectedWord);
        }

        _table.Settle(ref machine, ref owed);
        return result;
    }

    /// <summary>
    /// Stops logging. Pages stay write-protected; their next write is let through, and turns what logging had
    /// split into a block again where all of its frames are still there (patch 6's case).
    /// </summary>
    public MemoryResult StopDirtyLog(int number)
    {
        if (!_slots.Exists(number))
        {
            return MemoryResult.NoSuchSlot;
        }

        ref MemorySlot slot = ref _slots[number];
        if (!slot.IsLogged)
        {
            return MemoryResult.NotLogged;
        }

        slot.IsLogged = false;
        slot.Dirty = default;
        return MemoryResult.Ok;
    }
}
