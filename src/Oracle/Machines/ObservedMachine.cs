using System.Runtime.CompilerServices;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Oracle.Machines;

/// <summary>
/// Hands each call to an inner machine and tells an observer: so that one judge serves every machine that the engine
/// runs on. Both are structs, so the calls are specialised as the engine's own are.
/// </summary>
public struct ObservedMachine<TMachine, TObserver> : IMemoryMachine
    where TMachine : struct, IMemoryMachine
    where TObserver : struct, IMachineObserver
{
    private TMachine _inner;
    private TObserver _observer;

    public ObservedMachine(TMachine inner, TObserver observer)
    {
        _inner = inner;
        _observer = observer;
    }

    public ref FramePool Pool
    {
        get
        {
            _observer.TouchesPool();
            return ref _inner.Pool;
        }
    }

    public ref VmFrames Frames => ref _inner.Frames;

    public bool HasForcedWriteBack => _inner.HasForcedWriteBack;

    public bool HasRangeInvalidation => _inner.HasRangeInvalidation;

    public bool HasLevelHint => _inner.HasLevelHint;

    public bool HasInstructionCacheCoherency => _inner.HasInstructionCacheCoherency;

    public BreakBeforeMakeSupport BreakBeforeMakeSupport => _inner.BreakBeforeMakeSupport;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong ReadEntry(Pa entry)
    {
        _observer.Read(entry);
        return _inner.ReadEntry(entry);
    }

    public void WriteEntry(Pa entry, ulong value)
    {
        _inner.WriteEntry(entry, value);
        _observer.Wrote(entry, value);
    }

    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired)
    {
        bool written = _inner.CompareExchangeEntry(entry, expected, desired);
        if (written)
        {
            _observer.Read(entry);
            _observer.Wrote(entry, desired);
        }

        return written;
    }

    public bool ReserveTables(uint count) => _inner.ReserveTables(count);

    public Pa TakeTable()
    {
        Pa table = _inner.TakeTable();
        _observer.TookTables(table, 1);
        return table;
    }

    public void ReturnTable(Pa table)
    {
        _observer.ReturnsTables(table, 1);
        _inner.ReturnTable(table);
    }

    public static bool CanFork => TMachine.CanFork;

    public bool IsShared(Pa memory) => _inner.IsShared(memory);

    public void CopyTable(Pa target, Pa source)
    {
        ObservedMachine<TMachine, TObserver> self = this;
        VmTables.Copy(ref self, target, source);
    }

    public bool TakeRoot(uint tables, out Pa root)
    {
        bool taken = _inner.TakeRoot(tables, out root);
        if (taken)
        {
            _observer.TookTables(root, tables);
        }

        return taken;
    }

    public void ReturnRoot(Pa root, uint tables)
    {
        _observer.ReturnsTables(root, tables);
        _inner.ReturnRoot(root, tables);
    }

    public void DsbInnerShareableStores()
    {
        _inner.DsbInnerShareableStores();
        _observer.Completes(BarrierKind.InnerShareableStores);
    }

    public void DsbInnerShareable()
    {
        _inner.DsbInnerShareable();
        _observer.Completes(BarrierKind.InnerShareable);
    }

    public void DsbFullSystem()
    {
        _inner.DsbFullSystem();
        _observer.Completes(BarrierKind.FullSystem);
    }

    public void Isb() => _inner.Isb();

    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa)
    {
        _inner.InvalidateIpa(vmid, ipa);
        _observer.Invalidates(TlbiKind.Ipa, vmid, ipa.Ipa, 1, ipa.LevelHint);
    }

    public void InvalidateIpaRange(Vmid vmid, TlbiRange range)
    {
        _inner.InvalidateIpaRange(vmid, range);
        _observer.Invalidates(TlbiKind.Ipa, vmid, range.Start, range.Bytes, range.LevelHint);
    }

    public void InvalidateCombined(Vmid vmid)
    {
        _inner.InvalidateCombined(vmid);
        _observer.Invalidates(TlbiKind.Combined, vmid, default, 0, 0);
    }

    public void InvalidateVmid(Vmid vmid)
    {
        _inner.InvalidateVmid(vmid);
        _observer.Invalidates(TlbiKind.Vmid, vmid, default, 0, 0);
    }

    public void InvalidateAllVmids()
    {
        _inner.InvalidateAllVmids();
        _observer.Invalidates(TlbiKind.All, default, default, 0, 0);
        _observer.Completes(BarrierKind.InnerShareable);
    }

    public void CleanInvalidateToPoC(Pa start, ulong bytes)
    {
        _inner.CleanInvalidateToPoC(start, bytes);
        _observer.Maintains(CacheKind.CleanInvalidate, start, bytes);
    }

    /// <summary>What only a defective machine does, where a clean and invalidate is asked for.</summary>
    public void CleanToPoC(Pa start, ulong bytes)
    {
        _observer.Maintains(CacheKind.Clean, start, bytes);
    }

    public void InvalidateInstructionCache(Pa start, ulong bytes)
    {
        _inner.InvalidateInstructionCache(start, bytes);
        _observer.Maintains(CacheKind.Instruction, start, bytes);
    }

    public void CopyFrame(Pa target, Pa source, ulong bytes)
    {
        _inner.CopyFrame(target, source, bytes);
        _observer.Copied(target, source, bytes);
    }

    public void ZeroFrame(Pa start, ulong bytes)
    {
        _inner.ZeroFrame(start, bytes);
        _observer.Zeroed(start, bytes);
    }

    public void ZeroFrameToPoC(Pa start, ulong bytes)
    {
        _inner.ZeroFrameToPoC(start, bytes);
        _observer.Zeroed(start, bytes);
        _observer.Maintains(CacheKind.CleanInvalidate, start, bytes);
    }
}
