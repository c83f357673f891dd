using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Search;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

// The whole machine's state as one number, and what a step would do to it.
public partial class Host<TFormat, TMachine>
{
    private const ulong Parked = 1UL << 63;

    /// <summary>
    /// A hash of everything that later steps depend on; false where there is none, so that the state must pass for a
    /// new one. Counters, caches of the engine's and what only a free chunk's last owner knew are left out.
    /// </summary>
    /// <param name="hash">Working memory.</param>
    /// <param name="isSymmetric">PEs and VMs are alike: states that differ in their numbers alone are the same.</param>
    /// <param name="state">The hash.</param>
    internal bool TryHashState(StateHash hash, bool isSymmetric, out UInt128 state)
    {
        state = UInt128.MaxValue;
        // The huge file's blocks are not written below: a state with it is like no other.
        if (!Judge.IsSettled || _huge[0] != 0)
        {
            return false;
        }

        foreach (Guest? guest in _guests)
        {
            if (guest is { Log: not null } or { IsUnmapping: true })
            {
                return false;
            }
        }

        Judge.FindTouched();
        foreach (int[] slots in Orders.Of(_guests.Length, isSymmetric))
        {
            foreach (int[] pes in Orders.Of(_options.Pes, isSymmetric))
            {
                hash.Begin(pes);
                NameMemory(hash, slots);
                WriteState(hash, slots, pes);
                state = UInt128.Min(state, hash.Value);
            }
        }

        return true;
    }

    /// <summary>What a step that is not run would do here.</summary>
    internal StepEffect EffectOf(ProgramStep step)
    {
        Guest? running = _running[step.Pe % _options.Pes];
        if (_guests[step.Vm % _guests.Length] is not Guest guest)
        {
            return step.Operation is Operation.Create or Operation.Enter ? StepEffect.Any : StepEffect.Nothing;
        }

        bool isNothing = step.Operation switch
        {
            Operation.Create => true,
            Operation.Enter => running == guest,
            <= Operation.Execute => running != guest,
            Operation.Scrub => _world.Pool.Usage.DirtyChunks == 0,
            _ => false,
        };
        return isNothing ? StepEffect.Nothing
            : step.Operation is Operation.Read or Operation.ReadUncached && IsMapped(guest, step.Page)
                ? StepEffect.Reads
                : StepEffect.Any;
    }

    private static bool IsMapped(Guest guest, int page)
    {
        try
        {
            Translation there = guest.Memory.Translate(ref guest.Machine, new Ipa(PlaceOf(page).Ipa));
            return there.IsMapped && there.Attributes.Accessed && there.Attributes.Read;
        }
        catch (ViolationException)
        {
            // A walk of what is no table. The step itself will say so.
            return false;
        }
    }

    /// <summary>Chunks go by who has them, host frames by who has them or when they are given out.</summary>
    private void NameMemory(StateHash hash, int[] slots)
    {
        hash.AddArea(ModelWorld.PoolStart, (int)(_world.PoolBytes >> FramePool.ChunkShift), FramePool.ChunkShift);
        hash.AddArea(HostStart, FilePages + SpareFrames, TFormat.GranuleShift);
        for (ulong page = 0; page < FilePages; page++)
        {
            hash.NamePiece(HostStart + (page * Granule));
        }

        foreach (int slot in slots)
        {
            if (_guests[slot] is Guest guest)
            {
                ref VmFrames frames = ref guest.Port.Records.Frames;
                _world.NameChunks(hash, frames.Available);
                _world.NameChunks(hash, frames.Full);
                foreach (ulong frame in guest.Frames)
                {
                    hash.NamePiece(frame);
                }
            }
        }

        _world.NameFreeChunks(hash);
        foreach (ulong frame in _frames)
        {
            hash.NamePiece(frame);
        }
    }

    private void WriteState(StateHash hash, int[] slots, int[] pes)
    {
        for (int order = 0; order < slots.Length; order++)
        {
            if (_guests[slots[order]] is not Guest guest)
            {
                continue;
            }

            hash.Write(0x6E57UL << 32 | (uint)order);
            hash.Write(hash.Party(guest.Judged!.Party) << 32 | hash.Party(guest.Anonymous));
            hash.Write((guest.Judged.Dangles ? 1UL : 0) | (guest.Judged.IsReleased ? 2UL : 0)
                | (guest.Judged.Tag is { } tag ? 4UL | (ulong)tag.Vmid << 8 : 0));
            uint running = 0;
            for (int pe = 0; pe < _running.Length; pe++)
            {
                running |= _running[pe] == guest ? 1U << pe : 0;
            }

            hash.Write(hash.Pes(running));
            hash.Write(hash.Descriptor(guest.Memory.Vttbr | 1));
            hash.Write(NameOfTag(guest.Lease.Tag));
            WriteSlots(hash, ref guest.Memory);
            _world.WriteFrames(hash, ref guest.Port.Records.Frames);
            foreach (ulong frame in guest.Frames)
            {
                hash.Write(hash.Address(frame));
            }
        }

        hash.Write(_vmidWords[0]);
        hash.Write((ulong)(uint)EngineInternals.NextNumber(ref Vmids));
        for (int at = 0; at <= pes.Length; at++)
        {
            int pe = at < pes.Length ? Array.IndexOf(pes, at) : at;
            hash.Write(NameOfTag(_vmidWords[2 + pe]));
            hash.Write(NameOfTag(_vmidWords[3 + _options.Pes + pe]));
        }

        _world.WriteFreeChunks(hash);
        Judge.WriteState(hash);
    }

    /// <summary>A VMID with its generation's age: how many generations there were tells no states apart.</summary>
    private ulong NameOfTag(ulong tag)
    {
        ulong number = (1UL << _options.VmidBits) - 1;
        return tag is 0 or Parked ? tag
            : (EngineInternals.Generation(ref Vmids) - (tag & ~number)) | (tag & number) | 1UL << 62;
    }

    private static void WriteSlots(StateHash hash, ref GuestMemory<TFormat, TMachine> memory)
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
    /// <summary>Nothing at all: nobody is there to do it.</summary>
    Nothing,

    /// <summary>A guest reads by a translation that is there: that is judged, and changes nothing.</summary>
    Reads,

    /// <summary>Whatever it likes.</summary>
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
