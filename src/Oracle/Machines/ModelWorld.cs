using System;
using System.Collections.Generic;
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

    /// <summary>
    /// What a world of this thread left for the next of its granule: programs are short, and these are large.
    /// </summary>
    [ThreadStatic]
    private static Remains?[]? _left;

    private readonly Chunk[] _chunks;
    private readonly ulong[] _bits;
    private readonly ulong[]?[] _entries;
    private readonly List<int> _touched;
    private readonly int _granuleShift;
    private FramePool _pool;

    /// <param name="chunks">Chunks of 2 MB.</param>
    /// <param name="granuleShift">12, 14 or 16.</param>
    /// <param name="isZero">Whether the pool's memory is known to be zero.</param>
    public ModelWorld(int chunks, int granuleShift, bool isZero)
    {
        _granuleShift = granuleShift;
        ref Remains? left = ref LeftOf(granuleShift);
        Remains remains = left is not null && left.Chunks.Length == chunks ? left : new Remains(granuleShift, chunks);
        left = null;
        _chunks = remains.Chunks;
        _bits = remains.Bits;
        _entries = remains.Entries;
        _touched = remains.Touched;
        PoolBytes = (ulong)chunks << FramePool.ChunkShift;
        _pool.Initialize(Array(_chunks), Array(_bits));
        _pool.AddRange(new Pa(PoolStart), PoolBytes, isZero);
    }

    /// <summary>This world is done: the next one of this thread takes its memory, as it was at first.</summary>
    internal void Leave()
    {
        _chunks.AsSpan().Clear();
        _bits.AsSpan().Clear();
        foreach (int page in _touched)
        {
            _entries[page].AsSpan().Clear();
        }

        LeftOf(_granuleShift) = new Remains(_chunks, _bits, _entries, _touched);
    }

    private static ref Remains? LeftOf(int granuleShift) => ref (_left ??= new Remains?[17])[granuleShift];

    /// <summary>The pool that all VMs share.</summary>
    public ref FramePool Pool => ref _pool;

    /// <summary>Its memory's size.</summary>
    public ulong PoolBytes { get; }

    internal ref ulong Entry(Pa address)
    {
        ulong offset = address.Value - PoolStart;
        ulong[] table = _entries[offset >> _granuleShift] ?? Touch((int)(offset >> _granuleShift));
        return ref table[(offset & ((1UL << _granuleShift) - 1)) / sizeof(ulong)];
    }

    private ulong[] Touch(int page)
    {
        _touched.Add(page);
        return _entries[page] = new ulong[(1 << _granuleShift) / sizeof(ulong)];
    }

    internal void Zero(Pa start, ulong bytes)
    {
        int first = (int)((start.Value - PoolStart) >> _granuleShift);
        for (int page = first; page < first + (int)(bytes >> _granuleShift); page++)
        {
            _entries[page].AsSpan().Clear();
        }
    }

    /// <summary>The chunks that a VM has.</summary>
    internal List<Pa> ChunksOf(ref VmFrames frames)
    {
        List<Pa> all = [];
        foreach (ChunkList ring in (ReadOnlySpan<ChunkList>)[frames.Available, frames.Full])
        {
            int number = ring.First;
            for (int left = ring.Count; left > 0; left--)
            {
                all.Add(new Pa(_chunks[number].Base));
                number = _chunks[number].Next;
            }
        }

        return all;
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

    /// <summary>The memory of a world: all zero.</summary>
    /// <param name="Touched">Pages that have entries.</param>
    private sealed record Remains(Chunk[] Chunks, ulong[] Bits, ulong[]?[] Entries, List<int> Touched)
    {
        public Remains(int granuleShift, int chunks)
            : this(
                GC.AllocateArray<Chunk>(chunks, pinned: true),
                GC.AllocateArray<ulong>(chunks * FramePool.WordsPerChunk, pinned: true),
                new ulong[]?[(ulong)chunks << FramePool.ChunkShift >> granuleShift],
                [])
        {
        }
    }
}

/// <summary>One VM's records in a <see cref="ModelWorld"/>.</summary>
public sealed class ModelVm
{
    private VmFrames _frames;

    /// <summary>What the VM holds of the pool.</summary>
    public ref VmFrames Frames => ref _frames;

    /// <summary>Runs before an entry is written: a walk may just have set its access flag (VTCR_EL2.HA).</summary>
    internal Func<Pa, bool>? SetsAccessFlag { get; set; }

    /// <summary>No table is to be had, as where the VM's last chunk is full and the pool is empty.</summary>
    internal bool HasNoTables { get; set; }
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
        return !vm.HasNoTables && VmTables.Reserve(ref self, count);
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

    public static bool CanFork => true;

    public bool IsShared(Pa memory)
    {
        ModelMachine self = this;
        return VmTables.IsShared(ref self, memory);
    }

    public void CopyTable(Pa target, Pa source)
    {
        ModelMachine self = this;
        VmTables.Copy(ref self, target, source);
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

    public void CopyFrame(Pa target, Pa source, ulong bytes)
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
