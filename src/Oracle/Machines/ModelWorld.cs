using System;
using System.Runtime.InteropServices;
using Quietus.Memory;
using Quietus.Oracle.Search;
using Quietus.Stage2;

namespace Quietus.Oracle.Machines;

/// <summary>
/// The physical side of the oracle's own machine: a frame pool, and memory for table entries where tables are. What
/// data pages hold is the judge's to know.
/// </summary>
public sealed class ModelWorld
{
    /// <summary>Where the pool's memory begins.</summary>
    public const ulong PoolStart = 0x4000_0000;

    /// <summary>Of a chunk's bits: those of free frames come first, then those of zero ones, then tables.</summary>
    private const int WordsPerSet = FramePool.WordsPerChunk / 3;

    private readonly Chunk[] _chunks;
    private readonly ulong[] _bits;
    private readonly ulong[]?[] _entries;
    private readonly int _granuleShift;
    private FramePool _pool;

    /// <param name="chunks">Chunks of 2 MB.</param>
    /// <param name="granuleShift">12, 14 or 16.</param>
    /// <param name="isZero">Whether the pool's memory is known to be zero.</param>
    public ModelWorld(int chunks, int granuleShift, bool isZero)
    {
        _granuleShift = granuleShift;
        _chunks = GC.AllocateArray<Chunk>(chunks, pinned: true);
        _bits = GC.AllocateArray<ulong>(chunks * FramePool.WordsPerChunk, pinned: true);
        _entries = new ulong[]?[(ulong)chunks << FramePool.ChunkShift >> granuleShift];
        PoolBytes = (ulong)chunks << FramePool.ChunkShift;
        _pool.Initialize(Array(_chunks), Array(_bits));
        _pool.AddRange(new Pa(PoolStart), PoolBytes, isZero);
    }

    /// <summary>The pool that all VMs share.</summary>
    public ref FramePool Pool => ref _pool;

    /// <summary>Its memory's size.</summary>
    public ulong PoolBytes { get; }

    internal ref ulong Entry(Pa address)
    {
        ulong offset = address.Value - PoolStart;
        ref ulong[]? table = ref _entries[offset >> _granuleShift];
        table ??= new ulong[(1 << _granuleShift) / sizeof(ulong)];
        return ref table[(offset & ((1UL << _granuleShift) - 1)) / sizeof(ulong)];
    }

    internal void Zero(Pa start, ulong bytes)
    {
        int first = (int)((start.Value - PoolStart) >> _granuleShift);
        for (int page = first; page < first + (int)(bytes >> _granuleShift); page++)
        {
            _entries[page].AsSpan().Clear();
        }
    }

    internal void NameChunks(StateHash hash, ChunkList ring)
    {
        int number = ring.First;
        for (int left = ring.Count; left > 0; left--)
        {
            hash.NamePiece(_chunks[number].Base);
            number = _chunks[number].Next;
        }
    }

    internal void NameFreeChunks(StateHash hash)
    {
        NameChunks(hash, EngineInternals.CleanChunks(ref _pool));
        NameChunks(hash, EngineInternals.DirtyChunks(ref _pool));
    }

    /// <summary>Writes the chunks that no VM has. Nothing reads what is in a dirty one.</summary>
    internal void WriteFreeChunks(StateHash hash)
    {
        hash.Write(_pool.RefusedFrees);
        hash.Write((ulong)(uint)_pool.Usage.CleanChunks << 32 | (uint)_pool.Usage.DirtyChunks);
        ChunkList clean = EngineInternals.CleanChunks(ref _pool);
        int number = clean.First;
        for (int left = clean.Count; left > 0; left--)
        {
            for (int word = 0; word < WordsPerSet; word++)
            {
                WriteEntries(hash, number, word, ulong.MaxValue);
            }

            number = _chunks[number].Next;
        }
    }

    /// <summary>Writes what a VM has.</summary>
    internal void WriteFrames(StateHash hash, ref VmFrames frames)
    {
        hash.Write((ulong)(uint)frames.Available.Count << 32 | (ulong)(uint)frames.Full.Count << 8
            | (frames.IsReserved ? 1UL : 0) | (frames.KeptEmpty ? 2UL : 0));
        WriteRing(hash, frames.Available, frames.Stamp);
        WriteRing(hash, frames.Full, frames.Stamp);
    }

    private void WriteRing(StateHash hash, ChunkList ring, ulong stamp)
    {
        int number = ring.First;
        for (int left = ring.Count; left > 0; left--)
        {
            ref Chunk chunk = ref _chunks[number];
            hash.Write((ulong)chunk.State << 32 | (ulong)chunk.Free << 8 | (chunk.Owner == stamp ? 1UL : 0)
                | (chunk.Owner == (stamp | Chunk.WholeBit) ? 2UL : 0));
            if (chunk.State == ChunkState.Frames)
            {
                for (int word = 0; word < WordsPerSet; word++)
                {
                    int at = (number * FramePool.WordsPerChunk) + word;
                    ulong zero = _bits[at + WordsPerSet];
                    ulong tables = _bits[at + (2 * WordsPerSet)];
                    hash.Write(_bits[at]);
                    hash.Write(zero);
                    hash.Write(tables);
                    WriteEntries(hash, number, word, zero | tables);
                }
            }

            number = chunk.Next;
        }
    }

    /// <summary>Entries of tables, and of frames that pass for zero; the others are overwritten first.</summary>
    private void WriteEntries(StateHash hash, int chunk, int word, ulong frames)
    {
        int perChunk = 1 << (FramePool.ChunkShift - _granuleShift);
        for (int page = word * 64; page < Math.Min(perChunk, (word + 1) * 64); page++)
        {
            ReadOnlySpan<ulong> table = _entries[(chunk * perChunk) + page];
            if (table.IsEmpty || (frames >> (page & 63) & 1) == 0)
            {
                continue;
            }

            for (int at = 0; at < table.Length; at++)
            {
                int skipped = table[at..].IndexOfAnyExcept(0UL);
                if (skipped < 0)
                {
                    break;
                }

                at += skipped;
                hash.Write(((ulong)(uint)page << 32) | (uint)at);
                hash.Write(hash.Descriptor(table[at]));
            }
        }
    }

    /// <summary>The arrays are pinned, and this object keeps them.</summary>
    internal static UnmanagedArray<T> Array<T>(T[] pinned)
        where T : unmanaged => new(Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0), pinned.Length);
}

/// <summary>One VM's records in a <see cref="ModelWorld"/>.</summary>
public sealed class ModelVm
{
    private VmFrames _frames;

    /// <summary>What the VM holds of the pool.</summary>
    public ref VmFrames Frames => ref _frames;

    /// <summary>Runs before an entry is written: a walk may just have set its access flag (VTCR_EL2.HA).</summary>
    internal Func<Pa, bool>? SetsAccessFlag { get; set; }
}

/// <summary>The oracle's own machine: table accesses take place, maintenance is only observed.</summary>
public readonly struct ModelMachine(ModelWorld world, ModelVm vm, MachineFeatures features) : IMemoryMachine
{
    public ref FramePool Pool => ref world.Pool;

    public ref VmFrames Frames => ref vm.Frames;

    public bool HasForcedWriteBack => features.ForcedWriteBack;

    public bool HasRangeInvalidation => features.RangeInvalidation;

    public bool HasLevelHint => features.LevelHint;

    public bool HasInstructionCacheCoherency => features.InstructionCacheCoherency;

    public BreakBeforeMakeSupport BreakBeforeMakeSupport => features.BreakBeforeMake;

    public ulong ReadEntry(Pa entry) => world.Entry(entry);

    public void WriteEntry(Pa entry, ulong value)
    {
        LetWalksGoOn(entry);
        world.Entry(entry) = value;
    }

    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired)
    {
        LetWalksGoOn(entry);
        ref ulong at = ref world.Entry(entry);
        if (at != expected)
        {
            return false;
        }

        at = desired;
        return true;
    }

    public bool ReserveTables(uint count)
    {
        ModelMachine self = this;
        return VmTables.Reserve(ref self, count);
    }

    public Pa TakeTable()
    {
        ModelMachine self = this;
        return VmTables.Take(ref self);
    }

    public void ReturnTable(Pa table)
    {
        ModelMachine self = this;
        VmTables.Return(ref self, table);
    }

    public bool TakeRoot(uint tables, out Pa root)
    {
        ModelMachine self = this;
        return VmTables.TakeRoot(ref self, tables, out root);
    }

    public void ReturnRoot(Pa root, uint tables)
    {
        ModelMachine self = this;
        VmTables.ReturnRoot(ref self, root, tables);
    }

    public void DsbInnerShareableStores()
    {
    }

    public void DsbInnerShareable()
    {
    }

    public void DsbFullSystem()
    {
    }

    public void Isb()
    {
    }

    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa)
    {
    }

    public void InvalidateIpaRange(Vmid vmid, TlbiRange range)
    {
    }

    public void InvalidateCombined(Vmid vmid)
    {
    }

    public void InvalidateVmid(Vmid vmid)
    {
    }

    public void InvalidateAllVmids()
    {
    }

    public void CleanInvalidateToPoC(Pa start, ulong bytes)
    {
    }

    public void InvalidateInstructionCache(Pa start, ulong bytes)
    {
    }

    public void ZeroFrame(Pa start, ulong bytes) => world.Zero(start, bytes);

    public void ZeroFrameToPoC(Pa start, ulong bytes) => world.Zero(start, bytes);

    private void LetWalksGoOn(Pa entry)
    {
        if (vm.SetsAccessFlag is { } sets && sets(entry))
        {
            world.Entry(entry) |= 1UL << 10;
        }
    }
}
