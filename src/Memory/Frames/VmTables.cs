using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// The engine's table pages out of a VM's own chunks. Machines forward to these. Locking: the VM's memory lock.
/// </summary>
public static class VmTables
{
    /// <summary>See <see cref="IStage2Machine.ReserveTables"/>.</summary>
    public static bool Reserve<TMachine>(ref TMachine machine, uint count)
        where TMachine : struct, IMemoryMachine =>
        machine.Pool.ReserveTables(ref machine.Frames, count) == PoolResult.Ok;

    /// <summary>See <see cref="IStage2Machine.TakeTable"/>: after a reservation the pool cannot refuse.</summary>
    public static Pa Take<TMachine>(ref TMachine machine)
        where TMachine : struct, IMemoryMachine =>
        TakeRoot(ref machine, 1, out Pa table) ? table : default;

    /// <summary>See <see cref="IStage2Machine.ReturnTable"/>.</summary>
    public static void Return<TMachine>(ref TMachine machine, Pa table)
        where TMachine : struct, IMemoryMachine =>
        machine.Pool.FreeTable(ref machine.Frames, table);

    /// <summary>See <see cref="IStage2Machine.IsShared"/>: the pool's memory, and not this VM's.</summary>
    public static bool IsShared<TMachine>(ref TMachine machine, Pa memory)
        where TMachine : struct, IMemoryMachine =>
        machine.Pool.IsOthers(in machine.Frames, memory);

    /// <summary>See <see cref="IStage2Machine.CopyTable"/>, entry by entry.</summary>
    public static void Copy<TMachine>(ref TMachine machine, Pa to, Pa from)
        where TMachine : struct, IMemoryMachine
    {
        for (ulong at = 0; at < machine.Frames.FrameBytes; at += sizeof(ulong))
        {
            machine.WriteEntry(to + at, machine.ReadEntry(from + at));
        }
    }

    /// <summary>See <see cref="IStage2Machine.TakeRoot"/>.</summary>
    public static bool TakeRoot<TMachine>(ref TMachine machine, uint tables, out Pa root)
        where TMachine : struct, IMemoryMachine
    {
        PoolResult result = machine.Pool.AllocateTables(ref machine.Frames, (int)tables, out root, out bool isZero);
        if (result != PoolResult.Ok)
        {
            return false;
        }

        if (!isZero)
        {
            machine.ZeroFrame(root, tables * machine.Frames.FrameBytes);
        }

        return true;
    }

    /// <summary>See <see cref="IStage2Machine.ReturnRoot"/>.</summary>
    public static void ReturnRoot<TMachine>(ref TMachine machine, Pa root, uint tables)
        where TMachine : struct, IMemoryMachine
    {
        for (uint i = 0; i < tables; i++)
        {
            Return(ref machine, root + (i * machine.Frames.FrameBytes));
        }
    }
}
