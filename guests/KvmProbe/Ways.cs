using System;
using System.Runtime.InteropServices;
using Quietus.KvmProbe.Kvm;
using Quietus.KvmProbe.Linux;
using Quietus.Wire;

namespace Quietus.KvmProbe;

/// <summary>
/// The ways in which a KVM guest's memory goes, each measured and printed: docs/against-kvm.md. Beside each way
/// that also frees the host's pages stands the same without a VM: the difference is what the VM costs.
/// </summary>
internal static class Ways
{
    /// <summary>Until a child that has written its memory is back at writing it.</summary>
    private const ulong MomentNanoseconds = 20_000_000;

    /// <summary>Below that much memory a way is measured several times.</summary>
    private const ulong SmallBytes = 256 << 20;

    internal static void Run(in Options options)
    {
        EndTheFirst(options);
        UnmapWithoutVm(options);
        WhileAlive(options);
        Kill(options, withVm: false);
        Kill(options, withVm: true);
    }

    /// <summary>
    /// Makes a VM and closes it. The first death of a boot takes 98,000 instructions more than any later one, and waits
    /// for milliseconds: Linux' grace periods are awaited at leisure until the first is over.
    /// </summary>
    private static void EndTheFirst(in Options options)
    {
        Memory memory = Memory.Map(Options.BlockBytes, options.Huge);
        VirtualMachine first = VirtualMachine.Create(memory, Options.BlockBytes);
        first.RunToDoorbell(Options.BlockBytes);
        first.Close();
        memory.Unmap();
    }

    /// <summary>
    /// How often a way is measured, of which the middle is told. A timer tick, or work of the kernel's that comes with
    /// one, is up to 4 % of a way that takes a million instructions, and below 1 % where the memory is large.
    /// </summary>
    private static int Tries(in Options options) => options.FillBytes < SmallBytes ? Measurements.Most : 1;

    private static void UnmapWithoutVm(in Options options)
    {
        Measurements measured = default;
        for (int i = 0; i < Tries(options); i++)
        {
            Memory memory = Memory.Map(options.MemoryBytes, options.Huge);
            memory.Dirty(options.FillBytes);
            measured.Add(Unmap(memory));
        }

        Report(KvmWay.MunmapNoVm, options, measured.Middle);
    }

    /// <summary>
    /// Three ways over the same memory. The first two leave the host's pages alone, so that they are the VM's share and
    /// nothing else.
    /// </summary>
    private static void WhileAlive(in Options options)
    {
        Memory memory = Memory.Map(options.MemoryBytes, options.Huge);
        Measurements measured = default;
        for (int i = 0; i < Tries(options); i++)
        {
            VirtualMachine closed = VirtualMachine.Create(memory, options.FillBytes);
            closed.RunToDoorbell(options.FillBytes);
            ulong huge = Memory.HugeBytes();
            Stopwatch watch = Stopwatch.Start();
            closed.Close();
            measured.Add(new Measurement { Cost = watch.Stop(), HugeBytes = huge });
        }

        Report(KvmWay.Close, options, measured.Middle);

        VirtualMachine machine = VirtualMachine.Create(memory, options.FillBytes);
        measured = default;
        for (int i = 0; i < Tries(options); i++)
        {
            machine.RunToDoorbell(options.FillBytes);
            ulong huge = Memory.HugeBytes();
            Stopwatch watch = Stopwatch.Start();
            machine.SetSlot(memory, 0);
            measured.Add(new Measurement { Cost = watch.Stop(), HugeBytes = huge });
            machine.SetSlot(memory, memory.Bytes);
        }

        Report(KvmWay.SlotRemoval, options, measured.Middle);

        measured = default;
        for (int i = 0; i < Tries(options); i++)
        {
            if (i > 0)
            {
                memory = Memory.Map(options.MemoryBytes, options.Huge);
                machine = VirtualMachine.Create(memory, options.FillBytes);
            }

            machine.RunToDoorbell(options.FillBytes);
            measured.Add(Unmap(memory));
            machine.Close();
        }

        Report(KvmWay.Munmap, options, measured.Middle);
    }

    private static Measurement Unmap(in Memory memory)
    {
        ulong huge = Memory.HugeBytes();
        ulong free = Host.FreeBytes();
        Stopwatch watch = Stopwatch.Start();
        memory.Unmap();
        Cost cost = watch.Stop();
        return new Measurement { Cost = cost, HugeBytes = huge, FreedBytes = Host.FreeBytes() - free };
    }

    private static void Kill(in Options options, bool withVm)
    {
        Measurements measured = default;
        for (int i = 0; i < Tries(options); i++)
        {
            measured.Add(KillOne(options, withVm));
        }

        Report(withVm ? KvmWay.Kill : KvmWay.KillNoVm, options, measured.Middle);
    }

    /// <summary>Kills a child that writes its memory for ever, as a VM or by itself.</summary>
    private static unsafe Measurement KillOne(in Options options, bool withVm)
    {
        // Invariant: the pipe's two ends, and one number that goes through it.
        int* pipe = stackalloc int[2];
        ulong huge = 0;
        Failure.Checked(SystemCalls.Pipe(pipe), "making a pipe"u8);
        int child = (int)Failure.Checked(SystemCalls.Fork(), "making a child"u8);
        if (child == 0)
        {
            Live(options, withVm, pipe[1]);
        }

        if (SystemCalls.Read(pipe[0], &huge, sizeof(ulong)) != sizeof(ulong))
        {
            Failure.Stop("the child ended before it was killed"u8, default, 0);
        }

        SystemCalls.Sleep(MomentNanoseconds);
        ulong free = Host.FreeBytes();
        Stopwatch watch = Stopwatch.Start();
        SystemCalls.Kill(child);
        long waited = SystemCalls.Wait(child, out int status);
        Cost cost = watch.Stop();
        ulong freed = Host.FreeBytes() - free;
        if (waited != child || (status & 0x7F) != 9)
        {
            Failure.Stop("the child did not die of the kill"u8, default, status);
        }

        SystemCalls.Close(pipe[0]);
        SystemCalls.Close(pipe[1]);
        return new Measurement { Cost = cost, HugeBytes = huge, FreedBytes = freed };
    }

    /// <summary>The child's life, on another processor than its parent's; does not return.</summary>
    private static void Live(in Options options, bool withVm, int told)
    {
        Failure.Checked(SystemCalls.RunOn(1), "going to the second processor"u8);
        Memory memory = Memory.Map(options.MemoryBytes, options.Huge);
        VirtualMachine machine = withVm ? VirtualMachine.Create(memory, options.FillBytes) : default;
        for (bool isFirst = true; ; isFirst = false)
        {
            if (withVm)
            {
                machine.RunToDoorbell(options.FillBytes);
            }
            else
            {
                memory.Dirty(options.FillBytes);
            }

            if (isFirst)
            {
                ulong huge = Memory.HugeBytes();
                SystemCalls.Write(told, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(ref huge)));
            }
        }
    }

    private static void Report(KvmWay way, in Options options, in Measurement measured)
    {
        Span<byte> buffer = stackalloc byte[Output.MostLine];
        LineBuilder line = Output.Begin(buffer, "row"u8);
        line.Field(DeathFields.Way, KvmWays.NameOf(way));
        line.Field(DeathFields.MappedPages4K, (options.FillBytes - measured.HugeBytes) / Options.PageBytes);
        line.Field(DeathFields.MappedBlocks2M, measured.HugeBytes / Options.BlockBytes);
        line.Field(DeathFields.Instructions, measured.Cost.Instructions);
        line.Field(DeathFields.VirtualNanoseconds, measured.Cost.Nanoseconds);
        line.Field(DeathFields.FreedBytes, measured.FreedBytes);
        Output.End(ref line);
    }
}
