using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Stage2;

namespace Quietus.Oracle.Tests;

/// <summary>Lies between the engine and the observed machine, and does one thing wrong.</summary>
internal struct DefectiveMachine(
    ObservedMachine<ModelMachine, JudgeObserver> inner, VmPort port, Defect defect, DefectiveHost host)
    : IMemoryMachine
{
    private const ulong AddressMask = 0xFFFF_FFFF_F000;
    private const ulong AccessFlag = 1UL << 10;

    private ObservedMachine<ModelMachine, JudgeObserver> _inner = inner;
    private readonly Memo _memo = new();

    public ref FramePool Pool => ref _inner.Pool;

    public ref VmFrames Frames => ref _inner.Frames;

    public bool HasForcedWriteBack => _inner.HasForcedWriteBack;

    public bool HasRangeInvalidation => _inner.HasRangeInvalidation;

    public bool HasLevelHint => _inner.HasLevelHint;

    public bool HasInstructionCacheCoherency => _inner.HasInstructionCacheCoherency;

    public BreakBeforeMakeSupport BreakBeforeMakeSupport => _inner.BreakBeforeMakeSupport;

    /// <summary>Whether the VM dies while PEs still have its VTTBR.</summary>
    public bool IsDyingLate => port.Current == Operation.KillLate;

    /// <summary>A PE is about to run the VM.</summary>
    public readonly void RunOn(int pe) => _memo.Cores |= 1U << pe;

    /// <summary>There is no table for a child's break, which goes on with the table at hand.</summary>
    private readonly bool IsOutOfTables => defect == Defect.BreakOutOfTables && IsFaulting && _memo.IsChild;

    private readonly bool IsFaulting => port.Current is <= Operation.Execute or Operation.BeginFault;

    /// <summary>The VMID of the VM's template; 0 for none.</summary>
    public readonly Vmid Template => _memo.Template;

    /// <summary>The VM is a child now.</summary>
    /// <param name="template">Its template's VMID.</param>
    public readonly void BecomeChild(Vmid template)
    {
        _memo.IsChild = true;
        _memo.Template = template;
    }

    private bool IsUnmapping => port.Current is Operation.UnmapPool or Operation.ReplaceSlot
        or (>= Operation.MunmapPinned and <= Operation.Protect);

    private bool DropsInvalidation => defect switch
    {
        Defect.UnmapWithoutTlbi => IsUnmapping,
        Defect.DeathWithoutTlbi => IsDyingLate,
        Defect.TlbiAfterVmidReused => port.Current == Operation.Kill,
        Defect.FreezeWithoutTlbi => port.Current == Operation.Freeze,
        Defect.BreakWithoutTlbi => IsFaulting && _memo.IsChild,
        _ => false,
    };

    /// <summary>
    /// Linux put the TLBI off where it had FEAT_TLBIRANGE and FEAT_S2FWB (stage2_unmap_defer_tlb_flush), and the frames
    /// of a notifier's range are the host's. Of a dirty log: until the pages that it names are copied.
    /// </summary>
    private bool PutsOff => defect switch
    {
        Defect.TlbiDeferredPastTableFree => HasForcedWriteBack && HasRangeInvalidation
            && port.Current is >= Operation.MunmapPinned and <= Operation.Protect,
        Defect.DirtyBitLost => port.Current == Operation.ReadLog,
        _ => false,
    };

    private bool DropsCaches => defect switch
    {
        Defect.SwapOutWithoutCaches => port.Current == Operation.SwapOut,
        Defect.RemapWithoutCaches => port.Current == Operation.Mremap,
        Defect.MappedWithoutClean => port.Current <= Operation.Execute,
        Defect.FreezeWithoutClean => port.Current == Operation.Freeze,
        _ => false,
    };

    public ulong ReadEntry(Pa entry)
    {
        ulong value = _inner.ReadEntry(entry);
        _memo.LastRead = entry.Value & AddressMask;
        return IsSkippedAtRemoval(value) ? 0 : value;
    }

    public void WriteEntry(Pa entry, ulong value)
    {
        _memo.CoresAtWrite = _memo.Cores;
        if (defect == Defect.SplitMapsPageTwice && IsLastOfSplit(entry, value))
        {
            value -= 1UL << Granule4K.Shift;
        }

        if (defect == Defect.AccessFlagsLeftClear && port.Current == Operation.Freeze)
        {
            // Write permission is taken, and the rest stays as it was.
            value &= ~AccessFlag | _inner.ReadEntry(entry);
        }

        if (defect == Defect.UnlinkedTableWritten)
        {
            ulong before = _inner.ReadEntry(entry);
            _inner.WriteEntry(entry, value);
            if ((before & 3) == 3 && (value & 1) == 0)
            {
                ChangeLeafIn(before & AddressMask);
            }

            return;
        }

        if (defect is not (Defect.TableFreedBeforeTlbi or Defect.LevelHintOfTable))
        {
            _inner.WriteEntry(entry, value);
            return;
        }

        ulong old = _inner.ReadEntry(entry);
        NoteLevel(entry.Value & AddressMask, value);
        _inner.WriteEntry(entry, value);
        if ((old & 3) != 3 || (value & 1) != 0 || !_memo.Levels.TryGetValue(old & AddressMask, out int level))
        {
            return;
        }

        if (defect == Defect.TableFreedBeforeTlbi)
        {
            Free(new Pa(old & AddressMask));
        }
        else
        {
            _memo.LevelOfUnlinked = level - 1;
        }
    }

    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired)
    {
        if (defect == Defect.StaleCopyWritten)
        {
            _inner.WriteEntry(entry, desired);
            return true;
        }

        return _inner.CompareExchangeEntry(entry, expected, desired);
    }

    public bool ReserveTables(uint count) =>
        IsOutOfTables || _inner.ReserveTables(count);

    public Pa TakeTable()
    {
        if (IsOutOfTables)
        {
            return new Pa(_memo.LastRead);
        }

        Pa table = _inner.TakeTable();
        _memo.Levels[table.Value] = 0;
        return table;
    }

    public void ReturnTable(Pa table)
    {
        if (_memo.Levels.ContainsKey(table.Value))
        {
            Free(table);
            if (defect == Defect.SubtreeFreedThenWalked && port.Current <= Operation.Execute)
            {
                // The walker has the old descriptor in hand, and goes down.
                _inner.ReadEntry(table);
            }
        }
    }

    public static bool CanFork => true;

    public bool IsShared(Pa memory) => _inner.IsShared(memory);

    public void CopyTable(Pa target, Pa source) => _inner.CopyTable(target, source);

    public void CopyFrame(Pa target, Pa source, ulong bytes) => _inner.CopyFrame(target, source, bytes);

    public bool TakeRoot(uint tables, out Pa root) => _inner.TakeRoot(tables, out root);

    public void ReturnRoot(Pa root, uint tables) => _inner.ReturnRoot(root, tables);

    public void DsbInnerShareableStores() => _inner.DsbInnerShareableStores();

    public void DsbInnerShareable()
    {
        bool isAfterTlbi = _memo.Issued.Count != 0;
        if (isAfterTlbi && defect == Defect.RepeatedCompletion)
        {
            _inner.DsbInnerShareable();
            foreach (Invalidation again in _memo.Issued)
            {
                Pass(again);
            }
        }

        _memo.Issued.Clear();
        bool isLost = defect == Defect.TlbiWithoutDsb
            || (defect == Defect.VmidReusedBeforeDsb && port.Current == Operation.Kill);
        if (!isAfterTlbi || !isLost)
        {
            _inner.DsbInnerShareable();
        }
    }

    public void DsbFullSystem() => _inner.DsbFullSystem();

    public void Isb() => _inner.Isb();

    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa)
    {
        if (IsFaulting && _memo.IsChild)
        {
            vmid = defect == Defect.BreakUnderTemplatesVmid ? _memo.Template : vmid;
            ipa = defect == Defect.BreakOfLeafOnly && HasLevelHint ? new TlbiIpa(ipa.Ipa, 3, 12) : ipa;
        }

        if (_memo.LevelOfUnlinked != 0)
        {
            ipa = HasLevelHint ? new TlbiIpa(ipa.Ipa, _memo.LevelOfUnlinked, 12) : ipa;
            _memo.LevelOfUnlinked = 0;
        }

        Issue(new Invalidation(TlbiKind.Ipa, vmid, ipa, default), ipa.Ipa, 1UL << Arm<Granule4K>.GranuleShift);
    }

    public void InvalidateIpaRange(Vmid vmid, TlbiRange range)
    {
        if (defect == Defect.RangeScaleUnderflow && !IsTakenByAnyScale(range.Granules))
        {
            return;
        }

        if (defect == Defect.LevelZeroHint)
        {
            // With FEAT_LPA2 a TTL of level 0 is a level. This format has no LPA2, where it means none; level 1, at
            // which nothing is mapped either, stands for it.
            range = TlbiRange.Greatest(range.Start, range.Bytes, 1, 12);
        }

        Issue(new Invalidation(TlbiKind.Ipa, vmid, default, range), range.Start, range.Bytes);
    }

    public void InvalidateCombined(Vmid vmid)
    {
        if (defect != Defect.IpaWithoutCombined)
        {
            Issue(new Invalidation(TlbiKind.Combined, vmid, default, default), default, 0);
        }
    }

    public void InvalidateVmid(Vmid vmid) =>
        Issue(new Invalidation(TlbiKind.Vmid, vmid, default, default), default, 0);

    public void InvalidateAllVmids()
    {
        host.IsRollingOver = true;
        _inner.InvalidateAllVmids();
        host.IsRollingOver = false;
        if (defect == Defect.RepeatedCompletion)
        {
            _inner.InvalidateAllVmids();
        }
    }

    /// <summary>Issues and completes what was put off.</summary>
    public void IssuePutOff()
    {
        PutOff late = _memo.Late;
        _memo.Late = default;
        if (!late.IsAny)
        {
            return;
        }

        _inner.DsbInnerShareableStores();
        if (late.IsWhole)
        {
            _inner.InvalidateVmid(late.Vmid);
            _inner.DsbInnerShareable();
            return;
        }

        ulong granule = 1UL << Arm<Granule4K>.GranuleShift;
        for (Ipa ipa = late.Start; ipa < late.End; ipa += granule)
        {
            _inner.InvalidateIpa(late.Vmid, new TlbiIpa(ipa, 0, 12));
        }

        _inner.DsbInnerShareable();
        _inner.InvalidateCombined(late.Vmid);
        _inner.DsbInnerShareable();
    }

    public void CleanInvalidateToPoC(Pa start, ulong bytes)
    {
        if (defect == Defect.InstructionsOfDataInvalidated && !HasInstructionCacheCoherency
            && port.Current is Operation.Read or Operation.Write)
        {
            _inner.InvalidateInstructionCache(start, bytes);
            _inner.DsbInnerShareable();
        }

        if (defect == Defect.CleanWithoutInvalidate)
        {
            _inner.CleanToPoC(start, bytes);
        }
        else if (!DropsCaches && !(defect == Defect.CopyNotClean && IsFaulting && _memo.IsChild))
        {
            _inner.CleanInvalidateToPoC(start, bytes);
        }
    }

    public void InvalidateInstructionCache(Pa start, ulong bytes)
    {
        bool isOfChild = defect == Defect.InstructionsOfSharedPage && _memo.IsChild;
        if (defect is not (Defect.InstructionsNotInvalidated or Defect.InstructionsOfDataInvalidated) && !isOfChild)
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

    /// <summary>
    /// The loop of Linux before e3ba51ab24fd: NUM is what a mask leaves of the count, less one; with -1 the next lower
    /// scale is tried, until there is none. In the architecture the mask has five bits and there are four scales, so
    /// the count that is lost is 2^21 granules, 8 GB. Programs have 4 MB, so here it is three bits and three scales:
    /// what is lost is 2^10 granules, the largest range that such an operand could name.
    /// </summary>
    private static bool IsTakenByAnyScale(ulong granules)
    {
        const int Bits = 3;
        for (int scale = 2; scale >= 0; scale--)
        {
            if ((granules >> ((Bits * scale) + 1) & ((1UL << Bits) - 1)) != 0)
            {
                return true;
            }
        }

        return false;
    }

    private void Issue(Invalidation invalidation, Ipa start, ulong bytes)
    {
        if (DropsInvalidation)
        {
            return;
        }

        if (PutsOff)
        {
            if (invalidation.Kind != TlbiKind.Combined)
            {
                _memo.Late.Add(invalidation.Vmid, start, bytes, invalidation.Kind == TlbiKind.Vmid);
            }

            return;
        }

        _memo.Issued.Add(invalidation);
        Pass(invalidation);
    }

    private void Pass(Invalidation invalidation)
    {
        port.NextReach = defect switch
        {
            Defect.LocalScope => 1U << port.Pe,
            Defect.CoresNotedAtWrite when IsUnmapping => _memo.CoresAtWrite,
            _ => uint.MaxValue,
        };
        switch (invalidation.Kind)
        {
            case TlbiKind.Combined:
                _inner.InvalidateCombined(invalidation.Vmid);
                break;
            case TlbiKind.Vmid:
                _inner.InvalidateVmid(invalidation.Vmid);
                break;
            default:
                if (invalidation.Range.Operand != 0)
                {
                    _inner.InvalidateIpaRange(invalidation.Vmid, invalidation.Range);
                }
                else
                {
                    _inner.InvalidateIpa(invalidation.Vmid, invalidation.Ipa);
                }

                break;
        }
    }

    /// <summary>
    /// Another PE's fault had walked to a table before the table was unlinked, and writes the leaf there that it found.
    /// </summary>
    private void ChangeLeafIn(ulong table)
    {
        for (ulong at = 0; at < 512 && _memo.Levels.ContainsKey(table); at++)
        {
            var address = new Pa(table + (at << 3));
            ulong leaf = _inner.ReadEntry(address);
            if ((leaf & 3) == 3 && !_memo.Levels.ContainsKey(leaf & AddressMask))
            {
                _inner.WriteEntry(address, leaf ^ (1UL << Granule4K.Shift));
                return;
            }
        }
    }

    /// <summary>The last entry of a table that is being filled with what a block maps.</summary>
    private readonly bool IsLastOfSplit(Pa entry, ulong value) => (entry.Value >> 3 & 511) == 511
        && (value & 3) == 3 && (value & AddressMask) != 0 && !_memo.Levels.ContainsKey(value & AddressMask)
        && (_inner.ReadEntry(entry) & 1) == 0
        && _inner.ReadEntry(new Pa(entry.Value - 8)) == value - (1UL << Granule4K.Shift);

    /// <summary>
    /// Xen on Arm kept pages without the valid bit to learn of accesses, and its removal passed over such entries. Here
    /// a leaf without the access flag is what no TLB holds, and is taken for what is not there.
    /// </summary>
    private readonly bool IsSkippedAtRemoval(ulong entry) => defect == Defect.AgedEntriesSkipped
        && port.Current is >= Operation.MunmapPinned and <= Operation.Migrate
        && (entry & 3) == 3 && (entry & AccessFlag) == 0 && !_memo.Levels.ContainsKey(entry & AddressMask);

    /// <summary>A table's level is known from what it holds, since paths are built from the leaf up.</summary>
    private void NoteLevel(ulong table, ulong value)
    {
        if (_memo.Levels.ContainsKey(table) && (value & 1) != 0)
        {
            _memo.Levels[table] = (value & 2) == 0 ? 2
                : _memo.Levels.TryGetValue(value & AddressMask, out int below) ? below - 1 : 3;
        }
    }

    private void Free(Pa table)
    {
        _memo.Levels.Remove(table.Value);
        _inner.ReturnTable(table);
    }

    private readonly record struct Invalidation(TlbiKind Kind, Vmid Vmid, TlbiIpa Ipa, TlbiRange Range);

    /// <summary>The hull of invalidations that are to come later.</summary>
    private struct PutOff
    {
        public Vmid Vmid;
        public Ipa Start;
        public Ipa End;
        public bool IsWhole;
        public bool IsAny;

        public void Add(Vmid vmid, Ipa start, ulong bytes, bool isWhole)
        {
            Start = !IsAny || start < Start ? start : Start;
            End = !IsAny || start + bytes > End ? start + bytes : End;
            Vmid = vmid;
            IsWhole |= isWhole;
            IsAny = true;
        }
    }

    /// <summary>What copies of the machine share.</summary>
    private sealed class Memo
    {
        /// <summary>Tables in use, and their levels where these matter.</summary>
        public readonly Dictionary<ulong, int> Levels = [];

        /// <summary>Invalidations since the last DSB.</summary>
        public readonly List<Invalidation> Issued = [];

        /// <summary>The level of the entry that led to a table just unlinked; 0 for none.</summary>
        public int LevelOfUnlinked;

        public PutOff Late;

        /// <summary>The PEs that have run the VM, and which these were when an entry was last written.</summary>
        public uint Cores;
        public uint CoresAtWrite;

        public bool IsChild;
        public Vmid Template;

        /// <summary>The table that an entry was read in last.</summary>
        public ulong LastRead;
    }
}
