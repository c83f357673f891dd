using System;
using System.Runtime.InteropServices;
using Quietus.Memory;
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

    /// <summary>Writes the pool and all entries; where the arrays lie in this process is left out.</summary>
    internal void WriteState(Action<ulong> write)
    {
        ulong chunks = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(_chunks, 0);
        ulong bits = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(_bits, 0);
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(MemoryMarshal.AsBytes(new Span<FramePool>(ref _pool))))
        {
            write(word == chunks ? 1 : word == bits ? 2 : word);
        }

        foreach (byte part in MemoryMarshal.AsBytes(_chunks.AsSpan()))
        {
            write(part);
        }

        for (int word = 0; word < _bits.Length; word++)
        {
            write(_bits[word]);
        }

        for (int page = 0; page < _entries.Length; page++)
        {
            ReadOnlySpan<ulong> table = _entries[page];
            for (int at = table.IndexOfAnyExcept(0UL); at >= 0 && at < table.Length; at++)
            {
                if (table[at] != 0)
                {
                    write(((ulong)(uint)page << 32) | (uint)at);
                    write(table[at]);
                }
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

    public uint DataCacheLineBytes => 64;

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

    public void CleanToPoC(Pa start, ulong bytes)
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
