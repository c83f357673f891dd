using System;
using System.Collections.Generic;
using Quietus.Stage2;

namespace Quietus.Memory.Tests;

/// <summary>What the machine was asked to do, counted by kind.</summary>
internal sealed class Counts
{
    internal int TlbiIpa;
    internal int TlbiRange;
    internal int TlbiCombined;
    internal int TlbiVmid;
    internal int TlbiAll;
    internal long DcLines;
    internal long IcBytes;
    internal int DsbInnerShareable;
    internal int DsbStores;
    internal int DsbSystem;
    internal int Isb;
    internal long ZeroedBytes;
    internal long EntryReads;
    internal long EntryWrites;
}

/// <summary>
/// A machine in a process: physical memory word by word, one pool, and a record of what was issued. Words that
/// were never written are garbage unless the memory was added as zero.
/// </summary>
internal sealed class World
{
    internal const ulong RamBase = 0x4000_0000;
    private const ulong LineBytes = 64;
    private const ulong Garbage = 0xA5A5_5A5A_DEAD_BEEF;

    private readonly Dictionary<ulong, ulong[]> _pages = [];
    private readonly bool _startsZero;

    internal FramePool Pool;

    internal World(int chunks, bool startsZero = false, int descriptors = 0)
    {
        _startsZero = startsZero;
        int count = descriptors == 0 ? chunks : descriptors;
        Descriptors = new Pinned<Chunk>(count);
        Bits = new Pinned<ulong>(count * FramePool.WordsPerChunk);
        if (Pool.Initialize(Descriptors.Array, Bits.Array) != PoolResult.Ok)
        {
            throw new InvalidOperationException("pool");
        }

        PoolRange added = Pool.AddRange(new Pa(RamBase), (ulong)chunks << FramePool.ChunkShift, startsZero);
        if (added.Chunks != chunks)
        {
            throw new InvalidOperationException("pool range");
        }
    }

    internal Counts Counts { get; set; } = new();

    internal bool HasForcedWriteBack { get; set; }

    internal bool HasRangeInvalidation { get; set; }

    internal bool HasInstructionCacheCoherency { get; set; }

    /// <summary>Runs at each completion of a TLB invalidation (DSB ISH).</summary>
    internal Action? OnDsb { get; set; }

    /// <summary>Runs while a page is being zeroed: where another PE can come in between.</summary>
    internal Action? OnZero { get; set; }

    /// <summary>Runs before each call of the machine: where a life can end.</summary>
    internal Action? OnCall { get; set; }

    internal List<string>? Log { get; set; }

    private Pinned<Chunk> Descriptors { get; }

    private Pinned<ulong> Bits { get; }

    internal ulong Read(ulong address)
    {
        if (_pages.TryGetValue(address >> 12, out ulong[]? page))
        {
            return page[(address >> 3) & 511];
        }

        return _startsZero ? 0 : Garbage;
    }

    internal void Write(ulong address, ulong value) => Page(address)[(address >> 3) & 511] = value;

    internal void Zero(ulong start, ulong bytes)
    {
        OnCall?.Invoke();
        OnZero?.Invoke();
        Counts.ZeroedBytes += (long)bytes;
        for (ulong at = start; at < start + bytes; at += 4096)
        {
            _pages[at >> 12] = new ulong[512];
        }
    }

    internal static long Lines(ulong start, ulong bytes)
    {
        if (start % LineBytes != 0 || bytes % LineBytes != 0)
        {
            throw new InvalidOperationException("a range of cache lines is misaligned");
        }

        return (long)(bytes / LineBytes);
    }

    private ulong[] Page(ulong address)
    {
        if (!_pages.TryGetValue(address >> 12, out ulong[]? page))
        {
            page = new ulong[512];
            Array.Fill(page, _startsZero ? 0 : Garbage);
            _pages[address >> 12] = page;
        }

        return page;
    }
}

/// <summary>One VM's records in a world, as the machine struct refers to them.</summary>
internal sealed class VmRecord
{
    internal VmFrames Frames;
}

/// <summary>The hardware boundary over a <see cref="World"/>. Copies mean the same machine.</summary>
internal readonly struct TestMachine(World world, VmRecord vm) : IMemoryMachine
{
    public ref FramePool Pool => ref world.Pool;

    public ref VmFrames Frames => ref vm.Frames;

    public bool HasForcedWriteBack => world.HasForcedWriteBack;

    public bool HasRangeInvalidation => world.HasRangeInvalidation;

    public bool HasLevelHint => false;

    public bool HasInstructionCacheCoherency => world.HasInstructionCacheCoherency;

    public BreakBeforeMakeSupport BreakBeforeMakeSupport => BreakBeforeMakeSupport.Level0;

    public ulong ReadEntry(Pa entry)
    {
        world.OnCall?.Invoke();
        world.Counts.EntryReads++;
        return world.Read(entry.Value);
    }

    public void WriteEntry(Pa entry, ulong value)
    {
        world.OnCall?.Invoke();
        world.Counts.EntryWrites++;
        world.Write(entry.Value, value);
    }

    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired)
    {
        if (world.Read(entry.Value) != expected)
        {
            return false;
        }

        WriteEntry(entry, desired);
        return true;
    }

    public bool ReserveTables(uint count)
    {
        world.OnCall?.Invoke();
        TestMachine self = this;
        return VmTables.Reserve(ref self, count);
    }

    public Pa TakeTable()
    {
        world.OnCall?.Invoke();
        TestMachine self = this;
        return VmTables.Take(ref self);
    }

    public void ReturnTable(Pa table)
    {
        world.OnCall?.Invoke();
        TestMachine self = this;
        VmTables.Return(ref self, table);
    }

    public bool TakeRoot(uint tables, out Pa root)
    {
        world.OnCall?.Invoke();
        TestMachine self = this;
        return VmTables.TakeRoot(ref self, tables, out root);
    }

    public void ReturnRoot(Pa root, uint tables)
    {
        TestMachine self = this;
        VmTables.ReturnRoot(ref self, root, tables);
    }

    public void DsbInnerShareableStores()
    {
        world.OnCall?.Invoke();
        world.Counts.DsbStores++;
        world.Log?.Add("dsb ishst");
    }

    public void DsbInnerShareable()
    {
        world.OnCall?.Invoke();
        world.Counts.DsbInnerShareable++;
        world.Log?.Add("dsb ish");
        world.OnDsb?.Invoke();
    }

    public void DsbFullSystem()
    {
        world.OnCall?.Invoke();
        world.Counts.DsbSystem++;
        world.Log?.Add("dsb sy");
    }

    public void Isb()
    {
        world.Counts.Isb++;
        world.Log?.Add("isb");
    }

    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa)
    {
        world.OnCall?.Invoke();
        world.Counts.TlbiIpa++;
        world.Log?.Add($"tlbi ipa {ipa.Ipa.Value:x}");
    }

    public void InvalidateIpaRange(Vmid vmid, TlbiRange range)
    {
        world.Counts.TlbiRange++;
        world.Log?.Add($"tlbi range {range.Start.Value:x}");
    }

    public void InvalidateCombined(Vmid vmid)
    {
        world.OnCall?.Invoke();
        world.Counts.TlbiCombined++;
        world.Log?.Add("tlbi combined");
    }

    public void InvalidateVmid(Vmid vmid)
    {
        world.OnCall?.Invoke();
        world.Counts.TlbiVmid++;
        world.Log?.Add($"tlbi vmid {vmid.Value}");
    }

    public void InvalidateAllVmids()
    {
        world.Counts.TlbiAll++;
        world.Log?.Add("tlbi all");
    }

    public void CleanInvalidateToPoC(Pa start, ulong bytes)
    {
        world.OnCall?.Invoke();
        world.Counts.DcLines += World.Lines(start.Value, bytes);
        world.Log?.Add($"dc civac {start.Value:x}+{bytes:x}");
    }

    public void InvalidateInstructionCache(Pa start, ulong bytes)
    {
        world.Counts.IcBytes += (long)bytes;
        world.Log?.Add($"ic {start.Value:x}+{bytes:x}");
    }

    public void ZeroFrame(Pa start, ulong bytes) => world.Zero(start.Value, bytes);

    public void ZeroFrameToPoC(Pa start, ulong bytes)
    {
        ZeroFrame(start, bytes);
        CleanInvalidateToPoC(start, bytes);
    }
}
