using System.Collections.Generic;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// What a <see cref="HookMachine{TFormat}"/> acts on: the tables' memory, the meter, and the tables that wait for a
/// flush before they are given back.
/// </summary>
/// <param name="pages">The tables' memory.</param>
/// <param name="meter">Counts.</param>
/// <param name="guard">Watches, if anything does.</param>
/// <param name="lineBytes">A cache line, where leaves are cleaned.</param>
internal sealed class HookWorld(TablePages pages, HookMeter meter, FlushGuard? guard, ulong lineBytes)
{
    private readonly List<(ulong Address, int Pages)> _waiting = [];

    internal TablePages Pages => pages;

    internal HookMeter Meter => meter;

    internal FlushGuard? Guard => guard;

    internal ulong LineBytes => lineBytes;

    /// <summary>Pages that a root takes whatever the engine asks for: Power's has 64 KB.</summary>
    internal int RootPages { get; init; } = 1;

    /// <summary>
    /// Invalidations are issued where the engine asks for them (arm); else they are owed, and a table that is unlinked
    /// waits for <see cref="GiveBack"/>.
    /// </summary>
    internal bool InvalidatesAtOnce { get; init; }

    /// <summary>Hardware walks none of it: a table that is unlinked is free.</summary>
    internal bool IsSoftwareOnly { get; init; }

    /// <summary>A TLBI was issued that no DSB has waited for.</summary>
    internal bool IsFlushing { get; set; }

    /// <summary>An entry was made invalid, and no invalidation has been waited for since.</summary>
    internal bool IsUnflushed { get; set; }

    /// <summary>Counts of tables, for formats that have no bits to spare for them.</summary>
    internal Dictionary<ulong, ulong> Beside { get; } = [];

    internal void Unlinked(ulong table, int pagesOfIt)
    {
        if (IsSoftwareOnly)
        {
            Free(table, pagesOfIt);
            return;
        }

        if (InvalidatesAtOnce)
        {
            // Whatever led here was invalidated before the engine gave the table back, or nothing may be stale.
            if (IsUnflushed)
            {
                guard?.TableMayBeStale(table);
            }

            Free(table, pagesOfIt);
            return;
        }

        guard?.TableMayBeStale(table);
        _waiting.Add((table, pagesOfIt));
    }

    /// <summary>The flush is complete: what waited for it is free.</summary>
    internal void GiveBack()
    {
        foreach ((ulong table, int pagesOfIt) in _waiting)
        {
            Free(table, pagesOfIt);
        }

        _waiting.Clear();
    }

    private void Free(ulong table, int pagesOfIt)
    {
        guard?.FreesTable(table);
        meter.Add(HookOperation.TableFree, pagesOfIt);
        pages.Return(table, pagesOfIt);
    }
}

/// <summary>The engine's hardware boundary over a <see cref="HookWorld"/>: each operation counts as the world
/// says.</summary>
internal struct HookMachine<TFormat>(HookWorld world) : IStage2Machine
    where TFormat : struct, IDescriptorFormat
{
    private readonly HookWorld _world = world;

    public readonly bool HasForcedWriteBack => false;

    public readonly bool HasRangeInvalidation => false;

    public readonly bool HasLevelHint => false;

    public readonly BreakBeforeMakeSupport BreakBeforeMakeSupport => BreakBeforeMakeSupport.Level0;

    public static bool CanFork => false;

    public readonly ulong ReadEntry(Pa entry)
    {
        ulong value = Value(entry.Value);
        if (!IsDescent(value) && _world.Pages.IsFirstLook(entry.Value))
        {
            _world.Meter.Add(HookOperation.Visit);
        }

        return value;
    }

    public readonly void WriteEntry(Pa entry, ulong value)
    {
        ulong before = Value(entry.Value);
        if (TFormat.IsValid(before) && !TFormat.IsValid(value))
        {
            _world.Meter.Add(HookOperation.Unlink);
            _world.IsUnflushed = true;
            MayBeStale(before);
        }
        else if (TFormat.IsValid(before) && !IsDescent(before))
        {
            _world.Meter.Add(HookOperation.Write);
            if (TFormat.WithoutWrite(before) != before && TFormat.WithoutWrite(value) == value)
            {
                MayBeStale(before);
            }
        }

        ulong counted = value & TableCounts.Beside<TFormat>();
        if (TableCounts.Beside<TFormat>() != 0)
        {
            _world.Beside[entry.Value] = counted;
        }

        _world.Pages[entry.Value] = value & ~counted;
    }

    public readonly bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired)
    {
        if (Value(entry.Value) != expected)
        {
            return false;
        }

        WriteEntry(entry, desired);
        return true;
    }

    public readonly bool ReserveTables(uint count) => true;

    public readonly Pa TakeTable() => new(_world.Pages.Take());

    public readonly void ReturnTable(Pa table) => _world.Unlinked(table.Value, 1);

    public readonly bool IsShared(Pa memory) => false;

    public readonly void CopyTable(Pa target, Pa source) => _world.Pages.Copy(target, source);

    public readonly bool TakeRoot(uint tables, out Pa root)
    {
        root = new Pa(_world.Pages.Take((int)tables * _world.RootPages));
        return true;
    }

    public readonly void ReturnRoot(Pa root, uint tables) =>
        _world.Unlinked(root.Value, (int)tables * _world.RootPages);

    public readonly void DsbInnerShareableStores()
    {
    }

    public readonly void DsbInnerShareable()
    {
        if (_world.IsFlushing)
        {
            _world.IsFlushing = false;
            _world.IsUnflushed = false;
            _world.Meter.Add(HookOperation.FlushWait);
            _world.Guard?.Flushed();
        }
    }

    public readonly void DsbFullSystem()
    {
    }

    public readonly void Isb()
    {
    }

    public readonly void InvalidateIpa(Vmid vmid, TlbiIpa ipa) => InvalidateVmid(vmid);

    public readonly void InvalidateIpaRange(Vmid vmid, TlbiRange range) => InvalidateVmid(vmid);

    /// <summary>What is invalidated by guest has no combined entries left.</summary>
    public readonly void InvalidateCombined(Vmid vmid)
    {
    }

    public readonly void InvalidateVmid(Vmid vmid)
    {
        // A second one before the first was waited for would find nothing.
        if (_world.InvalidatesAtOnce && !_world.IsFlushing)
        {
            _world.Meter.Add(HookOperation.FlushGuest);
            _world.IsFlushing = true;
        }
    }

    public readonly void CleanInvalidateToPoC(Pa start, ulong bytes) =>
        _world.Meter.Add(HookOperation.CacheLine, (long)(bytes / _world.LineBytes));

    public readonly void InvalidateInstructionCache(Pa start, ulong bytes)
    {
    }

    /// <summary>Whether an entry, parked or not, leads to a table. Guest memory lies below all tables.</summary>
    private readonly bool IsDescent(ulong entry) => _world.Pages.Contains(TFormat.TableAddress(entry).Value);

    /// <summary>A block is known by its first page: the host frees it whole.</summary>
    private readonly void MayBeStale(ulong entry)
    {
        if (_world.Guard is { } guard && !IsDescent(entry))
        {
            guard.MayBeStale(0, TFormat.OutputAddress(entry, Stage2Geometry.LastLevel).Value, 1);
        }
    }

    private readonly ulong Value(ulong address) =>
        _world.Pages[address] | (TableCounts.Beside<TFormat>() != 0 ? _world.Beside.GetValueOrDefault(address) : 0);
}

/// <summary>
/// A table descriptor that hardware reads whole leaves the engine no bits for its count. Such a format has the count in
/// bits that no address uses, and the machine keeps them beside the table, so that memory holds what hardware expects.
/// </summary>
internal static class TableCounts
{
    /// <summary>The bits that do not reach memory.</summary>
    internal static ulong Beside<TFormat>()
        where TFormat : struct, IDescriptorFormat =>
        typeof(TFormat) == typeof(PowerRadix) ? PowerRadix.CountMask : 0;
}
