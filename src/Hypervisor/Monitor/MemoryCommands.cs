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
    /// <summary>Lines of an answer: the monitor hears its next order soon.</summary>
    private const int MostRuns = 64;

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

    /// <summary>A line for each run of neighbouring chunks that are used alike, as many as an order may take.</summary>
    internal static void Map(in CommandLine command, ref LineBuilder reply)
    {
        int total = Platform.Pool.Usage.TotalChunks;
        ulong from = 0;
        if (command.TryGet("from"u8, out ReadOnlySpan<byte> text)
            && (Numbers.TryParse(text, out from) != NumberError.None || from > (ulong)total))
        {
            Commands.Fail(ref reply, "bad-argument"u8, "from=CHUNK: next of the answer before"u8);
            return;
        }

        Span<byte> buffer = stackalloc byte[128];
        int number = (int)from;
        for (int run = 0; run < MostRuns && number < total; run++)
        {
            ChunkState state = Platform.Pool.Look(number, out ulong stamp);
            int count = 1;
            while (number + count < total && Platform.Pool.Look(number + count, out ulong other) == state
                && other == stamp)
            {
                count++;
            }

            ulong vm = stamp == 0 ? 0 : OwnerOf(stamp);
            LineBuilder line = new(buffer);
            line.Text("-"u8);
            line.Field("chunk"u8, (ulong)number);
            line.Field("count"u8, (ulong)count);
            line.Field("use"u8, vm != 0 ? "vm"u8
                : stamp != 0 && stamp == VmTable.Frames.Stamp ? "slots"u8
                : stamp != 0 ? "dirty"u8
                : NameOf(state));
            if (vm != 0)
            {
                line.Field("vm"u8, vm);
            }

            MachineConsole.Send(Channel.Monitor, line.Written);
            number += count;
        }

        reply.Field("chunks"u8, (ulong)total);
        reply.Field("next"u8, (ulong)number);
    }

    private static ReadOnlySpan<byte> NameOf(ChunkState state) => state switch
    {
        ChunkState.FreeClean => "clean"u8,
        ChunkState.Scrubbing => "scrubbing"u8,
        ChunkState.Reserved => "reserved"u8,
        _ => "dirty"u8,
    };

    /// <summary>The VM that has this stamp; 0 where it is dead.</summary>
    private static ulong OwnerOf(ulong stamp)
    {
        for (int slot = 0; slot < VmTable.Made; slot++)
        {
            Vm* vm = VmTable.At(slot);
            if (vm->Id != 0 && vm->MachineState.Frames.Stamp == stamp)
            {
                return vm->Id;
            }
        }

        return 0;
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
