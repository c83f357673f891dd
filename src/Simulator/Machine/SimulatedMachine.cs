using System.Runtime.CompilerServices;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// The hardware boundary of the engine over a simulated server: entries are real, everything else is counted by the
/// PE that issues it. Copies mean the same machine.
/// </summary>
public readonly struct SimulatedMachine : IMemoryMachine
{
    private readonly SimulatedVm _vm;

    internal SimulatedMachine(SimulatedVm vm) => _vm = vm;

    /// <inheritdoc/>
    public ref FramePool Pool => ref _vm.Server.Pool;

    /// <inheritdoc/>
    public ref VmFrames Frames => ref _vm.Frames;

    /// <inheritdoc/>
    public bool HasForcedWriteBack => _vm.Server.HasForcedWriteBack;

    /// <inheritdoc/>
    public bool HasRangeInvalidation => _vm.Server.HasRangeInvalidation;

    /// <inheritdoc/>
    public bool HasLevelHint => _vm.Server.HasLevelHint;

    /// <inheritdoc/>
    public bool HasInstructionCacheCoherency => _vm.Server.HasInstructionCacheCoherency;

    /// <inheritdoc/>
    public BreakBeforeMakeSupport BreakBeforeMakeSupport => BreakBeforeMakeSupport.Level0;

    private Meter Meter
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _vm.Meter;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong ReadEntry(Pa entry)
    {
        Meter.EntryReads++;
        return _vm.Tables[entry];
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteEntry(Pa entry, ulong value)
    {
        Meter meter = Meter;
        meter.EntryWrites++;
        ref ulong word = ref _vm.Tables[entry];
        meter.EntryUnlinks += (long)(word & ~value & ValidBit);
        word = value;
    }

    /// <inheritdoc/>
    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired)
    {
        if (_vm.Tables[entry] != expected)
        {
            return false;
        }

        WriteEntry(entry, desired);
        return true;
    }

    /// <inheritdoc/>
    public bool ReserveTables(uint count)
    {
        SimulatedMachine self = this;
        return VmTables.Reserve(ref self, count);
    }

    /// <inheritdoc/>
    public Pa TakeTable()
    {
        SimulatedMachine self = this;
        Meter.TablesTaken++;
        return VmTables.Take(ref self);
    }

    /// <inheritdoc/>
    public void ReturnTable(Pa table)
    {
        SimulatedMachine self = this;
        Meter.TablesFreed++;
        VmTables.Return(ref self, table);
    }

    /// <inheritdoc/>
    public static bool CanFork => true;

    /// <inheritdoc/>
    public bool IsShared(Pa memory)
    {
        SimulatedMachine self = this;
        return VmTables.IsShared(ref self, memory);
    }

    /// <inheritdoc/>
    public void CopyTable(Pa target, Pa source)
    {
        SimulatedMachine self = this;
        VmTables.Copy(ref self, target, source);
    }

    /// <inheritdoc/>
    public bool TakeRoot(uint tables, out Pa root)
    {
        SimulatedMachine self = this;
        Meter.TablesTaken += tables;
        return VmTables.TakeRoot(ref self, tables, out root);
    }

    /// <inheritdoc/>
    public void ReturnRoot(Pa root, uint tables)
    {
        SimulatedMachine self = this;
        Meter.TablesFreed += tables;
        VmTables.ReturnRoot(ref self, root, tables);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void DsbInnerShareableStores() => Meter.DsbStores++;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void DsbInnerShareable() => Meter.DsbInnerShareable++;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void DsbFullSystem() => Meter.DsbSystem++;

    /// <summary>Not priced: every ISB here follows a DSB, in whose price it is.</summary>
    public void Isb()
    {
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa)
    {
        _vm.Server.Broadcast(Meter);
        Meter.TlbiIpa++;
    }

    /// <inheritdoc/>
    public void InvalidateIpaRange(Vmid vmid, TlbiRange range)
    {
        _vm.Server.Broadcast(Meter);
        Meter.TlbiRange++;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void InvalidateCombined(Vmid vmid)
    {
        _vm.Server.Broadcast(Meter);
        Meter.TlbiVmalle1++;
    }

    /// <inheritdoc/>
    public void InvalidateVmid(Vmid vmid)
    {
        _vm.Server.Broadcast(Meter);
        Meter.TlbiVmid++;
    }

    /// <inheritdoc/>
    public void InvalidateAllVmids()
    {
        _vm.Server.Broadcast(Meter);
        Meter.TlbiAll++;
        Meter.DsbInnerShareable++;
    }

    /// <inheritdoc/>
    public void CleanInvalidateToPoC(Pa start, ulong bytes) =>
        _vm.Server.Lines.CleanInvalidate(Meter, start.Value, bytes);

    /// <inheritdoc/>
    public void InvalidateInstructionCache(Pa start, ulong bytes) =>
        Meter.IcLines += (long)(bytes / _vm.Server.LineBytes);

    /// <inheritdoc/>
    public void ZeroFrame(Pa start, ulong bytes)
    {
        Meter.PagesZeroed += (long)(bytes >> 12);
        _vm.Tables.Zero(start, bytes);
    }

    /// <inheritdoc/>
    public void ZeroFrameToPoC(Pa start, ulong bytes)
    {
        ZeroFrame(start, bytes);
        CleanInvalidateToPoC(start, bytes);
    }

    /// <inheritdoc/>
    public void CopyFrame(Pa target, Pa source, ulong bytes)
    {
        Meter.PagesCopied += (long)(bytes >> 12);
        _vm.Server.Lines.Read(source.Value, bytes);
        _vm.Server.Lines.Write(target.Value, bytes);
    }

    /// <summary>Bit 0 of every descriptor (DDI 0487 D8.3).</summary>
    private const ulong ValidBit = 1;
}
