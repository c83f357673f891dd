using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// A simulated Arm server: its PEs with a virtual time each, the interconnect that carries their broadcasts, its
/// caches, and the memory that Stage-2 tables come from.
/// </summary>
/// <remarks>
/// Data memory has no contents: <see cref="CacheLines"/> knows what is cached of it. It begins at physical address 0,
/// and each socket has an equal share. One thread at a time.
/// </remarks>
public sealed class SimulatedServer
{
    internal FramePool Pool;

    // The pool's records lie in pinned arrays: an UnmanagedArray keeps nothing alive.
    private readonly Chunk[] _chunks;
    private readonly ulong[] _bits;

    private readonly Prices _prices;
    private readonly Meter[] _meters;
    private long _interconnectFree;
    private int _senders = 1;
    private readonly Stack<Vmid> _retiredVmids = new();
    private ushort _lastVmid;

    /// <param name="preset">The machine.</param>
    /// <param name="tableBytes">
    /// How much memory Stage-2 tables may take, of all VMs together. Only what is used is really taken.
    /// </param>
    /// <param name="layer">What lies between the engine and the machine; nothing when not given.</param>
    public SimulatedServer(MachinePreset preset, ulong tableBytes = 1UL << 30, MachineLayer? layer = null)
    {
        Preset = preset;
        Layer = layer ?? MachineLayer.None;
        HasForcedWriteBack = preset.HasForcedWriteBack;
        HasRangeInvalidation = preset.HasRangeInvalidation;
        HasLevelHint = preset.IsArm64 && preset["level_hint"] != 0;
        HasInstructionCacheCoherency = preset.IsArm64 && preset["coherent_icache"] != 0;
        LineBytes = (uint)preset["line"];
        _prices = new Prices(preset);
        _meters = [.. Enumerable.Range(0, preset.Pes).Select(pe => new Meter(pe, pe / preset.PesPerSocket, _prices))];
        int chunks = (int)((tableBytes + FramePool.ChunkBytes - 1) >> FramePool.ChunkShift);
        Lines = new CacheLines(preset, TableMemory.Base + ((ulong)chunks << FramePool.ChunkShift));
        Tables = new TableMemory((ulong)chunks << FramePool.ChunkShift);
        _chunks = GC.AllocateArray<Chunk>(chunks, pinned: true);
        _bits = GC.AllocateArray<ulong>(chunks * FramePool.WordsPerChunk, pinned: true);
        _ = Pool.Initialize(Unmanaged(_chunks), Unmanaged(_bits));
        _ = Pool.AddRange(new Pa(TableMemory.Base), (ulong)chunks << FramePool.ChunkShift, isZero: true);
    }

    /// <summary>The machine that it is.</summary>
    public MachinePreset Preset { get; }

    /// <summary>
    /// PEs that send broadcasts at the same time, 1 at first. The interconnect carries one after the other, so with
    /// more than one, senders wait for each other. Calls are to be made for the PE that is furthest behind.
    /// </summary>
    public int ConcurrentSenders
    {
        get => _senders;
        set => _senders = value > 0 ? value : throw new ArgumentOutOfRangeException(nameof(value));
    }

    /// <summary>
    /// What each PE that ran something else has lost to all broadcasts so far, in nanoseconds.
    /// </summary>
    public double VictimNanoseconds => _meters.Sum(meter => meter.Broadcasts) * _prices.Victim / 1000.0;

    /// <summary>Who hears what happens on it; no listener at first.</summary>
    public IServerListener? Listener { get; set; }

    internal MachineLayer Layer { get; }

    internal bool HasForcedWriteBack { get; }

    internal bool HasRangeInvalidation { get; }

    internal bool HasLevelHint { get; }

    internal bool HasInstructionCacheCoherency { get; }

    internal uint LineBytes { get; }

    internal TableMemory Tables { get; }

    internal CacheLines Lines { get; }

    internal Prices Prices => _prices;

    /// <summary>What a PE has issued since the start, and what that cost.</summary>
    public Bill BillOf(int pe) => _meters[pe].Read();

    /// <summary>A PE's virtual time since the start, in nanoseconds, waiting included.</summary>
    public double NowOf(int pe) => _meters[pe].Now / 1000.0;

    internal Meter MeterOf(int pe) => _meters[pe];

    /// <summary>
    /// A broadcast is about to leave a PE: where several send, it first waits until the interconnect is free, and keeps
    /// it busy for the broadcast's own time.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Broadcast(Meter meter)
    {
        if (_senders > 1)
        {
            WaitForInterconnect(meter);
        }
    }

    /// <summary>
    /// The next VMID: a retired one, or a new one. When the 16 bits are used up, everything is invalidated, as a
    /// rollover does; VMs that are alive then keep theirs, so a server is good for 65,535 VMs at the same time.
    /// </summary>
    internal Vmid NextVmid(Meter meter)
    {
        if (_retiredVmids.TryPop(out Vmid retired))
        {
            return retired;
        }

        if (++_lastVmid == 0)
        {
            _lastVmid = 1;
            meter.TlbiAll++;
            meter.DsbInnerShareable++;
        }

        return new Vmid(_lastVmid);
    }

    /// <summary>A dead VM's VMID, of which no TLB holds anything.</summary>
    internal void RetireVmid(Vmid vmid) => _retiredVmids.Push(vmid);

    /// <summary>
    /// The host invalidates pages of one of its processes: Stage-1 TLBIs by VA, then the DSB that waits for all.
    /// </summary>
    internal void FlushHostTlb(Meter meter, int pages)
    {
        for (int page = 0; page < pages; page++)
        {
            Broadcast(meter);
            meter.TlbiHost++;
        }

        meter.DsbInnerShareable++;
    }

    private void WaitForInterconnect(Meter meter)
    {
        long now = meter.Now;
        long start = Math.Max(now, _interconnectFree);
        meter.ContentionPicoseconds += start - now;
        _interconnectFree = start + _prices.Broadcast;
    }

    private static UnmanagedArray<T> Unmanaged<T>(T[] pinned)
        where T : unmanaged => new(Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0), pinned.Length);
}
