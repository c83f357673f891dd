using System;
using System.Runtime.InteropServices;
using Quietus.KvmProbe.Kvm;
using Quietus.KvmProbe.Linux;
using Quietus.Wire;

namespace Quietus.KvmProbe;

/// <summary>
/// The ways in which a KVM guest's memory goes, each measured once and printed: docs/against-kvm.md. Beside each way
/// that also frees the host's pages stands the same without a VM: the difference is what the VM costs.
/// </summary>
internal static class Ways
{
    /// <summary>Until a child that has written its memory is back at writing it.</summary>
    private const ulong MomentNanoseconds = 20_000_000;

    internal static void Run(in Options options)
    {
        UnmapWithoutVm(options);
        WhileAlive(options);
        Kill(options, withVm: false);
        Kill(options, withVm: true);
    }

    private static void UnmapWithoutVm(in Options options)
    {
        Memory memory = Memory.Map(options.MemoryBytes, options.Huge);
        memory.Dirty(options.FillBytes);
        ulong huge = Memory.HugeBytes();
        ulong free = Host.FreeBytes();
        Stopwatch watch = Stopwatch.Start();
        memory.Unmap();
        Cost cost = watch.Stop();
        Report(KvmWay.MunmapNoVm, options, huge, cost, Host.FreeBytes() - free);
    }

    /// <summary>
    /// Three ways over the same memory. The first two leave the host's pages alone, so that they are the VM's share and
    /// nothing else.
    /// </summary>
    private static void WhileAlive(in Options options)
    {
        Memory memory = Memory.Map(options.MemoryBytes, options.Huge);

        VirtualMachine first = VirtualMachine.Create(memory, options.FillBytes);
        first.RunToDoorbell(options.FillBytes);
        ulong huge = Memory.HugeBytes();
        Stopwatch watch = Stopwatch.Start();
        first.Close();
        Cost cost = watch.Stop();
        Report(KvmWay.Close, options, huge, cost, 0);

        VirtualMachine second = VirtualMachine.Create(memory, options.FillBytes);
        second.RunToDoorbell(options.FillBytes);
        huge = Memory.HugeBytes();
        watch = Stopwatch.Start();
        second.SetSlot(memory, 0);
        cost = watch.Stop();
        Report(KvmWay.SlotRemoval, options, huge, cost, 0);

        second.SetSlot(memory, memory.Bytes);
        second.RunToDoorbell(options.FillBytes);
        huge = Memory.HugeBytes();
        ulong free = Host.FreeBytes();
        watch = Stopwatch.Start();
        memory.Unmap();
        cost = watch.Stop();
        Report(KvmWay.Munmap, options, huge, cost, Host.FreeBytes() - free);
        second.Close();
    }

    /// <summary>A child that writes its memory for ever, as a VM or by itself, until it is killed.</summary>
    private static unsafe void Kill(in Options options, bool withVm)
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
        Report(withVm ? KvmWay.Kill : KvmWay.KillNoVm, options, huge, cost, freed);
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

    private static void Report(KvmWay way, in Options options, ulong hugeBytes, Cost cost, ulong freedBytes)
    {
        Span<byte> buffer = stackalloc byte[Output.MostLine];
        LineBuilder line = Output.Begin(buffer, "row"u8);
        line.Field(DeathFields.Way, KvmWays.NameOf(way));
        line.Field(DeathFields.MappedPages4K, (options.FillBytes - hugeBytes) / Options.PageBytes);
        line.Field(DeathFields.MappedBlocks2M, hugeBytes / Options.BlockBytes);
        line.Field(DeathFields.Instructions, cost.Instructions);
        line.Field(DeathFields.VirtualNanoseconds, cost.Nanoseconds);
        line.Field(DeathFields.FreedBytes, freedBytes);
        Output.End(ref line);
    }
}
