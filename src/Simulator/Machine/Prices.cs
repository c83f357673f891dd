using System;

namespace Quietus.Simulator;

/// <summary>
/// A preset's costs in whole picoseconds, so that sums of billions of them are exact and the same everywhere.
/// </summary>
internal sealed class Prices
{
    internal Prices(MachinePreset preset)
    {
        EntryRead = Of("entry_read");
        EntryWrite = Of("entry_write");
        EntryUnlink = Of("entry_unlink");
        StoreBarrier = Of("store_barrier");
        Broadcast = Of("tlbi_base") + (Of("tlbi_per_pe") * preset.Pes);
        BroadcastWait = Of("tlbi_wait") + (Of("tlbi_wait_remote") * (preset.Sockets - 1));
        Victim = Of("tlbi_victim");
        LineLocal = Of("dc_line_local");
        LineRemote = Of("dc_line_remote");
        LineDirty = Of("dc_line_dirty");
        CacheBarrier = Of("cache_barrier");
        InstructionLine = Of("ic_line");
        PageZero = Of("page_zero");
        TableFree = Of("table_free");
        PageFree = Of("page_free");
        BlockFree = Of("block_free");
        Fault = Of("fault");
        Ipi = Of("ipi");
        Call = Of("call");
        VmEnd = Of("vm_end");
        ProcessEnd = Of("process_end");
        TransparentFill = Of("transparent_fill");
        TransparentFree = Of("transparent_free");
        FileFill = Of("file_fill");
        FileFree = Of("file_free");
        FileBlockFree = Of("file_block_free");

        // A machine of another architecture has no TLBI and no DC: their prices are asked for elsewhere.
        long Of(string key) => (long)Math.Round((preset.Find(key)?.Value ?? 0) * 1000);
    }

    internal long EntryRead { get; }

    internal long EntryWrite { get; }

    internal long EntryUnlink { get; }

    internal long StoreBarrier { get; }

    /// <summary>One broadcast TLBI: the PEs that hear it are all of the machine (Inner Shareable).</summary>
    internal long Broadcast { get; }

    /// <summary>The DSB that waits until every PE of every socket has answered.</summary>
    internal long BroadcastWait { get; }

    internal long Victim { get; }

    internal long LineLocal { get; }

    internal long LineRemote { get; }

    internal long LineDirty { get; }

    internal long CacheBarrier { get; }

    internal long InstructionLine { get; }

    internal long PageZero { get; }

    internal long TableFree { get; }

    internal long PageFree { get; }

    internal long BlockFree { get; }

    internal long Fault { get; }

    internal long Ipi { get; }

    internal long Call { get; }

    internal long VmEnd { get; }

    internal long ProcessEnd { get; }

    internal long TransparentFill { get; }

    internal long TransparentFree { get; }

    internal long FileFill { get; }

    internal long FileFree { get; }

    internal long FileBlockFree { get; }
}
