using System;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Monitor;

/// <summary>The monitor's commands about the machine's memory (docs/protocol.md).</summary>
/// <remarks>Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.</remarks>
internal static unsafe class MemoryCommands
{
    internal static void Describe(ref LineBuilder reply)
    {
        PoolUsage usage = Platform.Pool.Usage;
        int free = usage.FreeChunks;
        int slots = VmTable.Frames.ChunkCount;
        int used = usage.OwnedChunks - slots;
        reply.Field("total_bytes"u8, (ulong)usage.TotalChunks << FramePool.ChunkShift);
        reply.Field("free_bytes"u8, (ulong)free << FramePool.ChunkShift);
        reply.Field("used_bytes"u8, (ulong)used << FramePool.ChunkShift);
        reply.Field("available_bytes"u8, (ulong)usage.AvailableChunks << FramePool.ChunkShift);
        reply.Field("slot_bytes"u8, (ulong)slots << FramePool.ChunkShift);
        reply.Field("reserved_bytes"u8, (ulong)usage.ReservedChunks << FramePool.ChunkShift);
        reply.Field("chunks"u8, (ulong)usage.TotalChunks);
        reply.Field("chunks_free"u8, (ulong)free);
        reply.Field("chunks_dirty"u8, (ulong)usage.DirtyChunks);
        reply.Field("refused_frees"u8, Platform.Pool.RefusedFrees);
        reply.Field("misplaced_chunks"u8, (ulong)MisplacedChunks());
        reply.Field("vmid_rollovers"u8, Platform.Vmids.Rollovers);
        Scrubber.Figures.Write(ref reply);
    }

    /// <summary>
    /// Chunks that are on no list, or on two; all of them where a list is damaged. Idle cores stand still meanwhile,
    /// running VMs do not: a chunk that one of them takes while its list is still to be walked counts twice. What is
    /// really lost is missed each time.
    /// </summary>
    private static int MisplacedChunks()
    {
        const int Most = 16;
        Scrubber.Pause();
        int misplaced = CountMisplaced();
        for (int i = 1; i < Most && misplaced != 0; i++)
        {
            misplaced = CountMisplaced();
        }

        Scrubber.Resume();
        return misplaced;
    }

    private static int CountMisplaced()
    {
        PoolUsage usage = Platform.Pool.Usage;
        PoolAudit audit = Platform.Pool.Audit();
        bool isSound = audit.IsSound;
        int found = audit.Chunks + usage.ReservedChunks;
        audit = Platform.Pool.Audit(in VmTable.Frames);
        isSound &= audit.IsSound;
        found += audit.Chunks;
        for (int slot = 0; slot < VmTable.Made; slot++)
        {
            Vm* vm = VmTable.At(slot);
            if (vm->Id != 0)
            {
                vm->MemoryLock.Enter();
                audit = Platform.Pool.Audit(in vm->MachineState.Frames);
                vm->MemoryLock.Leave();
                isSound &= audit.IsSound;
                found += audit.Chunks;
            }
        }

        int off = usage.TotalChunks - found;
        return !isSound ? usage.TotalChunks : off < 0 ? -off : off;
    }

    /// <summary>When chunks are scrubbed; without that, all of them now.</summary>
    internal static void Scrub(in CommandLine command, ref LineBuilder reply)
    {
        if (!command.TryGet("when"u8, out ReadOnlySpan<byte> when))
        {
            Scrubber.Everything().Write(ref reply);
            return;
        }

        bool isAsked = when.SequenceEqual("asked"u8);
        if (!isAsked && !when.SequenceEqual("idle"u8))
        {
            Commands.Fail(ref reply, "bad-argument"u8, "when=idle or when=asked"u8);
            return;
        }

        Scrubber.OnlyWhenAsked = isAsked;
        if (isAsked)
        {
            Scrubber.Pause();
        }

        Scrubber.Resume();
    }
}
