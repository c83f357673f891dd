using System;
using Quietus.KvmProbe.Kvm;
using Quietus.KvmProbe.Linux;
using Quietus.Wire;

namespace Quietus.KvmProbe;

/// <summary>
/// What a VM's birth from a snapshot costs under KVM: docs/against-kvm.md. The snapshot is a file in memory, and each
/// child maps it MAP_PRIVATE, as the fastest monitors do: no byte is read or copied before the child asks for it.
/// </summary>
internal static class Births
{
    /// <summary>
    /// Children that are born of which the cheapest is told. A birth waits for RCU; while it waits ticks go on and work
    /// of the kernel's own gets done, which is not the birth's.
    /// </summary>
    private const int Tries = 8;

    /// <summary>Until a fault handler waits for its orders.</summary>
    private const ulong HandlerNanoseconds = 5_000_000;

    private static SavedRegisters saved;

    internal static void Run(in Options options)
    {
        int snapshot = MakeSnapshot(options);
        BareChild(snapshot, options);
        WholeChild(snapshot, options);
        ServedChild(snapshot, options);
    }

    private static int MakeSnapshot(in Options options)
    {
        int file = (int)Failure.Checked(SystemCalls.MakeFile("snapshot"u8), "making the snapshot"u8);
        Failure.Checked(SystemCalls.Resize(file, options.MemoryBytes), "sizing the snapshot"u8);
        Memory memory = Memory.MapFile(file, options.MemoryBytes, isPrivate: false);
        memory.Dirty(options.FillBytes);
        VirtualMachine.WriteChildCode(memory);
        memory.Unmap();
        return file;
    }

    /// <summary>Lets children be born, reports the cheapest birth, and keeps the last child.</summary>
    private static VirtualMachine Birth(
        KvmBirthWay way, int snapshot, in Options options, out Memory memory)
    {
        Cost least = default;
        for (int i = 1; ; i++)
        {
            Stopwatch watch = Stopwatch.Start();
            memory = Memory.MapFile(snapshot, options.MemoryBytes, isPrivate: true);
            VirtualMachine child = VirtualMachine.CreateEmpty(memory);
            int interrupts = -1;
            if (way == KvmBirthWay.BirthWhole)
            {
                interrupts = child.AddInterruptController();
                child.RestoreAll(ref saved);
            }

            child.RestoreCore();
            child.RunToDoorbell(0);
            Cost cost = watch.Stop();
            least = i == 1 || cost.Instructions < least.Instructions ? cost : least;
            if (i == Tries)
            {
                Report(way, 0, least);
                return child;
            }

            SystemCalls.Close(interrupts);
            child.Close();
            memory.Unmap();
        }
    }

    /// <summary>The least that a child can be; it reads everything before it writes.</summary>
    private static void BareChild(int snapshot, in Options options)
    {
        VirtualMachine child = Birth(KvmBirthWay.Birth, snapshot, options, out Memory memory);
        ulong all = options.FillBytes / Options.PageBytes;
        Touch(KvmBirthWay.Read, child, all - 1, isWrite: false);
        Touch(KvmBirthWay.ReadAgain, child, all - 1, isWrite: false);
        Touch(KvmBirthWay.WriteAfterRead, child, options.Writes, isWrite: true);
        Touch(KvmBirthWay.WriteAgain, child, options.Writes, isWrite: true);

        Stopwatch watch = Stopwatch.Start();
        child.Close();
        memory.Unmap();
        Report(KvmBirthWay.End, options.Writes, watch.Stop());
    }

    /// <summary>A child with an interrupt controller and all registers; it writes what it never read.</summary>
    private static void WholeChild(int snapshot, in Options options)
    {
        Memory memory = Memory.MapFile(snapshot, options.MemoryBytes, isPrivate: true);
        VirtualMachine template = VirtualMachine.CreateEmpty(memory);
        int interrupts = template.AddInterruptController();
        template.RestoreCore();
        template.RunToDoorbell(0);
        template.SaveAll(ref saved);
        SystemCalls.Close(interrupts);
        template.Close();
        memory.Unmap();

        VirtualMachine child = Birth(KvmBirthWay.BirthWhole, snapshot, options, out memory);
        Touch(KvmBirthWay.Write, child, options.Writes, isWrite: true);
    }

    /// <summary>
    /// As <see cref="BareChild"/>, with a process that gives each page when the child asks for it. That process is
    /// there before the birth, as a monitor's is.
    /// </summary>
    private static void ServedChild(int snapshot, in Options options)
    {
        Cost least = default;
        for (int i = 1; ; i++)
        {
            var handler = FaultHandler.Start(snapshot, options.MemoryBytes);
            SystemCalls.Sleep(HandlerNanoseconds);
            Stopwatch watch = Stopwatch.Start();
            Memory memory = Memory.MapEmpty(options.MemoryBytes);
            handler.Serve(memory);
            VirtualMachine child = VirtualMachine.CreateEmpty(memory);
            child.RestoreCore();
            child.RunToDoorbell(0);
            Cost cost = watch.Stop();
            least = i == 1 || cost.Instructions < least.Instructions ? cost : least;
            bool isLast = i == Tries;
            if (isLast)
            {
                ulong all = options.FillBytes / Options.PageBytes;
                Report(KvmBirthWay.ServedBirth, 0, least);
                Touch(KvmBirthWay.ServedRead, child, all - 1, isWrite: false);
                Touch(KvmBirthWay.ServedWriteAfterRead, child, options.Writes, isWrite: true);
            }
            else if (i == Tries - 1)
            {
                Touch(KvmBirthWay.ServedWrite, child, options.Writes, isWrite: true);
            }

            watch = Stopwatch.Start();
            child.Close();
            memory.Unmap();
            handler.Close();
            cost = watch.Stop();
            handler.End();
            if (isLast)
            {
                Report(KvmBirthWay.ServedEnd, options.Writes, cost);
                return;
            }
        }
    }

    /// <summary>Lets the child touch so many pages after its first, and reports what that took.</summary>
    private static void Touch(KvmBirthWay way, in VirtualMachine child, ulong pages, bool isWrite)
    {
        ulong end = (1 + pages) * Options.PageBytes;
        child.SetWork(Options.PageBytes, end, isWrite);
        Stopwatch watch = Stopwatch.Start();
        child.RunToDoorbell(end);
        Report(way, pages, watch.Stop());
    }

    private static void Report(KvmBirthWay way, ulong pages, Cost cost)
    {
        Span<byte> buffer = stackalloc byte[Output.MostLine];
        LineBuilder line = Output.Begin(buffer, "birth"u8);
        line.Field(DeathFields.Way, KvmBirthWays.NameOf(way));
        line.Field("pages"u8, pages);
        line.Field(DeathFields.Instructions, cost.Instructions);
        line.Field(DeathFields.VirtualNanoseconds, cost.Nanoseconds);
        Output.End(ref line);
    }
}
