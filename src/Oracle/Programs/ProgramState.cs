using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Search;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>A program's state as one number, and what a step would do to it.</summary>
internal static class ProgramState
{
    /// <summary>
    /// A hash of everything that later steps depend on; false where there is none, so that the state must pass for a
    /// new one. Counters, caches of the engine's and what only a free chunk's last owner knew are left out.
    /// </summary>
    /// <param name="machine">The machine.</param>
    /// <param name="hash">Working memory.</param>
    /// <param name="isSymmetric">PEs and VMs are alike: states that differ in their numbers alone are the same.</param>
    /// <param name="state">The hash.</param>
    public static bool TryHash<TFormat, TMachine>(
        ProgramMachine<TFormat, TMachine> machine, StateHash hash, bool isSymmetric, out UInt128 state)
        where TFormat : struct, IDescriptorFormat
        where TMachine : struct, IMemoryMachine
    {
        state = UInt128.MaxValue;
        if (!machine.Judge.IsSettled || machine.Ending != 0)
        {
            return false;
        }

        foreach (Guest<TFormat, TMachine>? guest in machine.Guests)
        {
            if (guest is { Log: not null } or { Unmapping.IsUnderWay: true })
            {
                return false;
            }
        }

        machine.Judge.FindTouched();
        foreach (int[] slots in Orders.Of(machine.Guests.Length, isSymmetric))
        {
            foreach (int[] pes in Orders.Of(machine.Options.Pes, isSymmetric))
            {
                hash.Begin(pes);
                NameMemory(machine, hash, slots);
                Write(machine, hash, slots, pes);
                state = UInt128.Min(state, hash.Value);
            }
        }

        return true;
    }

    /// <summary>What a step that is not run would do.</summary>
    public static StepEffect EffectOf<TFormat, TMachine>(
        ProgramMachine<TFormat, TMachine> machine, ProgramStep step)
        where TFormat : struct, IDescriptorFormat
        where TMachine : struct, IMemoryMachine
    {
        Guest<TFormat, TMachine>? running = machine.Pes.On(step.Pe % machine.Options.Pes);
        if (machine.Guests[step.Vm % machine.Guests.Length] is not Guest<TFormat, TMachine> guest)
        {
            return step.Operation is Operation.Create or Operation.Enter or Operation.Fork
                ? StepEffect.Any : StepEffect.Nothing;
        }

        bool isNothing = step.Operation switch
        {
            Operation.Create or Operation.Fork => true,
            Operation.Enter => guest.Memory.IsFrozen
                || machine.Pes.Choose(guest, step.Pe % machine.Options.Pes, step.Choice) < 0,
            <= Operation.Execute => running != guest,
            Operation.BeginFault => running != guest || guest.Faults[step.Pe % machine.Options.Pes].IsPending,
            Operation.EndFault => !guest.Faults[step.Pe % machine.Options.Pes].IsPending,
            Operation.Scrub => machine.World.Pool.Usage.DirtyChunks == 0,
            _ => false,
        };
        return isNothing ? StepEffect.Nothing
            : step.Operation is Operation.Read or Operation.ReadUncached && IsReadable(guest, step.Page)
                ? StepEffect.Reads
                : StepEffect.Any;
    }

    private static bool IsReadable<TFormat, TMachine>(Guest<TFormat, TMachine> guest, int page)
        where TFormat : struct, IDescriptorFormat
        where TMachine : struct, IMemoryMachine
    {
        try
        {
            Translation there = guest.Translate(Places<TFormat>.Of(page).Ipa);
            return there.IsMapped && there.Attributes.Accessed && there.Attributes.Read;
        }
        catch (ViolationException)
        {
            // A walk of what is no table. The step itself will say so.
            return false;
        }
    }

    /// <summary>Chunks go by who has them, host frames by who has them or when they are given out.</summary>
    private static void NameMemory<TFormat, TMachine>(
        ProgramMachine<TFormat, TMachine> machine, StateHash hash, int[] slots)
        where TFormat : struct, IDescriptorFormat
        where TMachine : struct, IMemoryMachine
    {
        ModelWorld world = machine.World;
        hash.AddArea(ModelWorld.PoolStart, (int)(world.PoolBytes >> FramePool.ChunkShift), FramePool.ChunkShift);
        hash.AddArea(ProgramMachine<TFormat, TMachine>.Past, 1, TFormat.GranuleShift);
        hash.AddArea(HostFrames.Start, machine.Frames.Pages, TFormat.GranuleShift);
        for (int page = 0; page < Places<TFormat>.FilePages; page++)
        {
            hash.NamePiece(machine.Frames.OfFile(page));
        }

        foreach (int slot in slots)
        {
            if (machine.Guests[slot] is Guest<TFormat, TMachine> guest)
            {
                ref VmFrames frames = ref guest.Port.Records.Frames;
                world.NameChunks(hash, frames.Available);
                world.NameChunks(hash, frames.Full);
                foreach (ulong frame in guest.Frames)
                {
                    hash.NamePiece(frame);
                }
            }
        }

        world.NameFreeChunks(hash);
        foreach (ulong frame in machine.Frames.Free)
        {
            hash.NamePiece(frame);
        }
    }

    private static void Write<TFormat, TMachine>(
        ProgramMachine<TFormat, TMachine> machine, StateHash hash, int[] slots, int[] pes)
        where TFormat : struct, IDescriptorFormat
        where TMachine : struct, IMemoryMachine
    {
        for (int order = 0; order < slots.Length; order++)
        {
            if (machine.Guests[slots[order]] is not Guest<TFormat, TMachine> guest)
            {
                continue;
            }

            hash.Write(0x6E57UL << 32 | (uint)order);
            hash.Write(hash.Party(guest.Judged!.Party) << 32 | hash.Party(guest.Anonymous));
            hash.Write((guest.Judged.Dangles ? 1UL : 0) | (guest.Judged.IsReleased ? 2UL : 0)
                | (guest.Judged.Tag is { } tag ? 4UL | (ulong)tag.Vmid << 8 : 0));
            hash.Write((guest.Memory.IsFrozen ? 1UL << 32 : 0) | guest.Family.Living
                | (ulong)(uint)(guest.Template is { } template ? 1 + Array.IndexOf(slots, template.Slot) : 0) << 40);
            foreach (bool isWritten in guest.Written)
            {
                hash.Write(isWritten ? 1UL : 0);
            }

            hash.Write(hash.Pes(machine.Pes.MaskOf(guest)));
            hash.Write(hash.Descriptor(guest.Memory.Vttbr | 1));
            hash.Write(machine.Pes.NameOf(guest.Lease.Tag));
            WriteSlots(hash, ref guest.Memory);
            WriteFaults(hash, guest, pes);
            machine.World.WriteFrames(hash, ref guest.Port.Records.Frames);
            foreach (ulong frame in guest.Frames)
            {
                hash.Write(hash.Address(frame));
            }
        }

        machine.Pes.WriteState(hash, pes, slots);
        machine.World.WriteFreeChunks(hash);
        machine.Judge.WriteState(hash, machine.Options.Vcpus != 0);
    }

    /// <summary>Faults between their steps: of the sequence counts only whether it is still the one.</summary>
    private static void WriteFaults<TFormat, TMachine>(
        StateHash hash, Guest<TFormat, TMachine> guest, int[] pes)
        where TFormat : struct, IDescriptorFormat
        where TMachine : struct, IMemoryMachine
    {
        ulong sequence = EngineInternals<TFormat, TMachine>.Invalidation(ref guest.Memory).Sequence();
        for (int at = 0; at < pes.Length; at++)
        {
            ref PendingFault fault = ref guest.Faults[Array.IndexOf(pes, at)];
            if (fault.IsPending)
            {
                ref FaultTicket ticket = ref fault.Ticket;
                hash.Write(0xFA17UL << 32 | (uint)at);
                hash.Write(ticket.Address);
                hash.Write(hash.Address(ticket.Page));
                hash.Write((ulong)ticket.Level << 16 | (ulong)ticket.Access << 8
                    | (ticket.Sequence == sequence ? 1UL : 0) | (ticket.IsPoolPage ? 2UL : 0)
                    | (ticket.IsZero ? 4UL : 0) | (ticket.HostPermitsWrites ? 8UL : 0));
            }
        }
    }

    private static void WriteSlots<TFormat, TMachine>(StateHash hash, ref GuestMemory<TFormat, TMachine> memory)
        where TFormat : struct, IDescriptorFormat
        where TMachine : struct, IMemoryMachine
    {
        hash.Write(memory.MappedPages << 32 | memory.MappedBlocks << 16 | memory.TablePages);
        for (int number = 0; number < SlotTable.Capacity; number++)
        {
            if (memory.TryGetSlot(number, out MemorySlot slot))
            {
                hash.Write((ulong)(uint)number << 8 | (slot.OrdinaryLeaf != 0 ? 1UL : 0) | (slot.IsLogged ? 2UL : 0));
                hash.Write(slot.First);
                hash.Write(slot.Bytes);
            }
        }
    }
}

/// <summary>What a step would do.</summary>
internal enum StepEffect : byte
{
    /// <summary>Nothing at all: no PE is there to do it.</summary>
    Nothing,

    /// <summary>A guest reads by a translation that is there: that is judged, and changes nothing.</summary>
    Reads,

    /// <summary>It may do anything.</summary>
    Any,
}

/// <summary>The orders in which numbered things can be looked at.</summary>
internal static class Orders
{
    private static readonly int[][][] _all = [.. Make()];

    /// <summary>All orders of so many things, 1 to 4; the first one alone where they are not alike.</summary>
    public static ReadOnlySpan<int[]> Of(int count, bool areAlike) =>
        areAlike ? _all[count] : _all[count].AsSpan(0, 1);

    private static IEnumerable<int[][]> Make()
    {
        List<int[]> orders = [[]];
        for (int count = 0; count <= 4; count++)
        {
            yield return [.. orders];
            List<int[]> longer = [];
            foreach (int[] order in orders)
            {
                for (int at = count; at >= 0; at--)
                {
                    longer.Add([.. order[..at], count, .. order[at..]]);
                }
            }

            orders = longer;
        }
    }
}
