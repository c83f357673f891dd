using System;
using System.Linq;
using Quietus.Simulator;

namespace Quietus.Architectures;

/// <summary>Counts what a hook does.</summary>
public sealed class HookMeter
{
    /// <summary>How many operations there are.</summary>
    internal const int Operations = (int)HookOperation.TableFree + 1;

    private readonly long[] _counts = new long[Operations];

    /// <summary>Counts an operation, as often as it happened.</summary>
    public void Add(HookOperation operation, long count = 1) => _counts[(int)operation] += count;

    /// <summary>All that was counted since the start.</summary>
    public HookBill Read() => new([.. _counts]);
}

/// <summary>What a hook did: a reading of its meter, or the difference of two.</summary>
public sealed class HookBill
{
    private readonly long[] _counts;

    internal HookBill(long[] counts) => _counts = counts;

    /// <summary>Nothing.</summary>
    public static HookBill None { get; } = new(new long[HookMeter.Operations]);

    /// <summary>How often an operation happened.</summary>
    public long this[HookOperation operation] => _counts[(int)operation];

    /// <summary>What happened between an earlier reading and a later one.</summary>
    public static HookBill operator -(HookBill later, HookBill earlier) =>
        new([.. later._counts.Zip(earlier._counts, static (after, before) => after - before)]);

    /// <summary>Walking, in nanoseconds: entries looked at, unlinked, changed.</summary>
    public double Walk(MachinePreset machine) =>
        Price(machine, HookOperation.Visit) + Price(machine, HookOperation.Unlink)
        + Price(machine, HookOperation.Write);

    /// <summary>Invalidation, in nanoseconds, with its interrupts and its waiting.</summary>
    public double Flush(MachinePreset machine) =>
        Price(machine, HookOperation.FlushPage) + Price(machine, HookOperation.FlushGuest)
        + Price(machine, HookOperation.FlushWait) + Price(machine, HookOperation.Ipi);

    /// <summary>Cache maintenance, in nanoseconds.</summary>
    public double Cache(MachinePreset machine) =>
        Price(machine, HookOperation.CacheLine) + Price(machine, HookOperation.CacheAll);

    /// <summary>Table pages given back, in nanoseconds.</summary>
    public double Free(MachinePreset machine) => Price(machine, HookOperation.TableFree);

    /// <summary>Calls, in nanoseconds.</summary>
    public double Other(MachinePreset machine) => Price(machine, HookOperation.Call);

    /// <summary>All of it, in nanoseconds of the core that works.</summary>
    public double Nanoseconds(MachinePreset machine) =>
        Walk(machine) + Flush(machine) + Cache(machine) + Free(machine) + Other(machine);

    private double Price(MachinePreset machine, HookOperation operation) =>
        _counts[(int)operation] * machine[KeyOf(operation)];

    /// <summary>The figure of a preset that prices an operation.</summary>
    internal static string KeyOf(HookOperation operation) => operation switch
    {
        HookOperation.Call => "call",
        HookOperation.Visit => "entry_visit",
        HookOperation.Unlink => "entry_unlink",
        HookOperation.Write => "entry_write",
        HookOperation.FlushPage => "flush_page",
        HookOperation.FlushGuest => "flush_guest",
        HookOperation.FlushWait => "flush_wait",
        HookOperation.Ipi => "ipi",
        HookOperation.CacheLine => "cache_line",
        HookOperation.CacheAll => "cache_all",
        HookOperation.TableFree => "table_free",
        _ => throw new ArgumentOutOfRangeException(nameof(operation)),
    };
}
