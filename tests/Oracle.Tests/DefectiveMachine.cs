using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Stage2;

namespace Quietus.Oracle.Tests;

/// <summary>Lies between the engine and the observed machine, and does one thing wrong.</summary>
internal struct DefectiveMachine(ObservedMachine<ModelMachine, JudgeObserver> inner, VmPort port, Defect defect)
    : IMemoryMachine
{
    private ObservedMachine<ModelMachine, JudgeObserver> _inner = inner;
    private readonly HeldTables _held = new();

    public ref FramePool Pool => ref _inner.Pool;

    public ref VmFrames Frames => ref _inner.Frames;

    public bool HasForcedWriteBack => _inner.HasForcedWriteBack;

    public bool HasRangeInvalidation => _inner.HasRangeInvalidation;

    public bool HasLevelHint => _inner.HasLevelHint;

    public bool HasInstructionCacheCoherency => _inner.HasInstructionCacheCoherency;

    public BreakBeforeMakeSupport BreakBeforeMakeSupport => _inner.BreakBeforeMakeSupport;

    public uint DataCacheLineBytes => 64;

    private bool IsUnmapping => port.Current is Operation.UnmapPool or Operation.ReplaceSlot
        or (>= Operation.MunmapPinned and <= Operation.Protect);

    private bool DropsInvalidation => defect switch
    {
        Defect.UnmapWithoutTlbi => IsUnmapping,
        Defect.DeathWithoutTlbi or Defect.VmidOfDeadVmNotInvalidated =>
            port.Current is Operation.Kill or Operation.KillLate,
        Defect.DirtyBitLost => port.Current is Operation.StartLog or Operation.ReadLog,
        _ => false,
    };

    private bool DropsCaches => defect switch
    {
        Defect.SwapOutWithoutCaches => port.Current == Operation.SwapOut,
        Defect.FileUnmapWithoutCaches => port.Current == Operation.MunmapFile,
        Defect.RemapWithoutCaches => port.Current == Operation.Mremap,
        Defect.MappedWithoutClean => port.Current <= Operation.Execute,
        _ => false,
    };

    public ulong ReadEntry(Pa entry) => _inner.ReadEntry(entry);

    public void WriteEntry(Pa entry, ulong value)
    {
        ulong old = _inner.ReadEntry(entry);
        if (defect == Defect.ReplacedWithoutBreak && (old & 3) == 1 && value == 0 && port.Current <= Operation.Execute)
        {
            return;
        }

        if (defect == Defect.PartialRangeDropsTable && (value & 3) == 3 && (value >> 2 & 0x3FF) == 2
            && (old >> 2 & 0x3FF) == 1)
        {
            value -= 1 << 2;
        }

        bool isTable = (old & 3) == 3 && _held.Tables.Contains(old & 0xFFFF_FFFF_F000);
        _inner.WriteEntry(entry, value);
        bool freesAtOnce = defect is Defect.TableFreedBeforeTlbi or Defect.TlbiDeferredPastTableFree;
        if (isTable && (value & 1) == 0 && freesAtOnce)
        {
            Free(new Pa(old & 0xFFFF_FFFF_F000));
        }
    }

    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired)
    {
        if (defect == Defect.AccessFlagOnStaleCopy)
        {
            _inner.WriteEntry(entry, desired);
            return true;
        }

        return _inner.CompareExchangeEntry(entry, expected, desired);
    }

    public bool ReserveTables(uint count) => _inner.ReserveTables(count);

    public Pa TakeTable()
    {
        Pa table = _inner.TakeTable();
        _held.Tables.Add(table.Value);
        return table;
    }

    public void ReturnTable(Pa table)
    {
        if (_held.Tables.Contains(table.Value))
        {
            Free(table);
            if (defect == Defect.SubtreeFreedThenWalked)
            {
                _inner.ReadEntry(table);
            }
        }
    }

    public bool TakeRoot(uint tables, out Pa root) => _inner.TakeRoot(tables, out root);

    public void ReturnRoot(Pa root, uint tables) => _inner.ReturnRoot(root, tables);

    public void DsbInnerShareableStores() => _inner.DsbInnerShareableStores();

    public void DsbInnerShareable()
    {
        bool isDeath = port.Current == Operation.Kill;
        if (defect != Defect.TlbiWithoutDsb && !(defect == Defect.VmidReusedBeforeDsb && isDeath))
        {
            _inner.DsbInnerShareable();
        }
    }

    public void DsbFullSystem() => _inner.DsbFullSystem();

    public void Isb() => _inner.Isb();

    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa)
    {
        int hint = defect == Defect.WrongLevelHint && ipa.LevelHint > 1 ? ipa.LevelHint - 1 : ipa.LevelHint;
        if (!DropsInvalidation)
        {
            port.NextIsLocal = defect == Defect.LocalScope;
            _inner.InvalidateIpa(vmid, new TlbiIpa(ipa.Ipa, hint, 1));
        }
    }

    public void InvalidateIpaRange(Vmid vmid, TlbiRange range)
    {
        if (DropsInvalidation || (defect == Defect.RangeThatFlushesNothing && range.Granules % 64 == 0))
        {
            return;
        }

        port.NextIsLocal = defect == Defect.LocalScope;
        _inner.InvalidateIpaRange(vmid, range);
    }

    public void InvalidateCombined(Vmid vmid)
    {
        if (defect == Defect.IpaWithoutCombined || DropsInvalidation)
        {
            return;
        }

        port.NextIsLocal = defect == Defect.LocalScope;
        _inner.InvalidateCombined(vmid);
    }

    public void InvalidateVmid(Vmid vmid)
    {
        if (!DropsInvalidation)
        {
            port.NextIsLocal = defect == Defect.LocalScope;
            _inner.InvalidateVmid(vmid);
        }
    }

    public void InvalidateAllVmids() => _inner.InvalidateAllVmids();

    public void CleanInvalidateToPoC(Pa start, ulong bytes)
    {
        if (defect == Defect.CleanWithoutInvalidate)
        {
            _inner.CleanToPoC(start, bytes);
        }
        else if (!DropsCaches)
        {
            _inner.CleanInvalidateToPoC(start, bytes);
        }
    }

    public void CleanToPoC(Pa start, ulong bytes) => _inner.CleanToPoC(start, bytes);

    public void InvalidateInstructionCache(Pa start, ulong bytes)
    {
        if (defect != Defect.InstructionsNotInvalidated)
        {
            _inner.InvalidateInstructionCache(start, bytes);
        }
    }

    public void ZeroFrame(Pa start, ulong bytes) => _inner.ZeroFrame(start, bytes);

    public void ZeroFrameToPoC(Pa start, ulong bytes)
    {
        if (DropsCaches)
        {
            _inner.ZeroFrame(start, bytes);
        }
        else
        {
            _inner.ZeroFrameToPoC(start, bytes);
        }
    }

    private void Free(Pa table)
    {
        _held.Tables.Remove(table.Value);
        _inner.ReturnTable(table);
    }

    private sealed class HeldTables
    {
        public HashSet<ulong> Tables { get; } = [];
    }
}
