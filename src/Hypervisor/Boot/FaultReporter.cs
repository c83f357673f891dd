using System;
using System.Runtime;
using System.Runtime.InteropServices;
using System.Threading;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Wire;

namespace Quietus.Hypervisor.Boot;

/// <summary>The registers at a fault in EL2, as Boot/Vectors.S stores them.</summary>
/// <remarks>Invariant: the array is as long as the architecture's registers X0 to X30.</remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FaultFrame
{
    internal fixed ulong X[31];
    internal ulong StackPointer;
    internal ulong ProgramCounter;
    internal ulong ProcessorState;
    internal ulong Syndrome;
    internal ulong FaultAddress;
}

/// <summary>
/// EL2's own end: prints what was wrong, the registers, and where it came from, and halts the machine. A guest cannot
/// get here; a guest that does has found a bug of ours.
/// </summary>
internal static unsafe class FaultReporter
{
    private const int DeepestBacktrace = 32;

    /// <summary>BRK's number in break_here (Boot/Instructions.S).</summary>
    private const ulong AskedFor = 0x5144;

    private static int _reports;

    /// <summary>EL2 is at its end: a core that looks around must stop where it is.</summary>
    internal static bool HasReported => Volatile.Read(ref _reports) != 0;

    /// <summary>An exception that EL2 took from itself (Boot/Vectors.S).</summary>
    [RuntimeExport("quietus_fault")]
    private static void Report(FaultFrame* frame, ulong kind)
    {
        // A fault while reporting a fault would go round for ever.
        if (Interlocked.Increment(ref _reports) > 1)
        {
            Instructions.Halt();
        }

        // A core that has not set up its GIC interface yet cannot send, and runs no guest either.
        bool canKick = (Instructions.ReadIccSreEl2() & 1) != 0;
        for (int i = 0; canKick && i < Platform.CoreCount; i++)
        {
            Platform.CoreAt(i)->Kick();
        }

        Span<byte> buffer = stackalloc byte[256];
        LineBuilder line = new(buffer);
        if (!MachineConsole.Exists)
        {
            line.Text("EL2 took an exception from itself before it had a console: "u8);
            line.Text(Describe(kind, frame->Syndrome));
            line.Text(", pc "u8);
            Place(ref line, frame->ProgramCounter);
            line.Text(", far "u8);
            line.Hexadecimal(frame->FaultAddress, 16);
            LastWords.Say(line.Written, default);
        }

        line.Text("quietus: panic on core "u8);
        line.Number(Core.Current->Index);
        line.Text(": "u8);
        line.Text(Describe(kind, frame->Syndrome));
        MachineConsole.Panic(line.Written);

        line.Clear();
        line.Text("  pc "u8);
        Place(ref line, frame->ProgramCounter);
        MachineConsole.Panic(line.Written);

        line.Clear();
        line.Text("  esr "u8);
        line.Hexadecimal(frame->Syndrome, 8);
        line.Text("  far "u8);
        line.Hexadecimal(frame->FaultAddress, 16);
        line.Text("  spsr "u8);
        line.Hexadecimal(frame->ProcessorState, 8);
        line.Text("  sp "u8);
        line.Hexadecimal(frame->StackPointer, 16);
        MachineConsole.Panic(line.Written);

        for (int i = 0; i < 31; i += 4)
        {
            line.Clear();
            for (int j = i; j < i + 4 && j < 31; j++)
            {
                line.Text(j < 10 ? "  x"u8 : " x"u8);
                line.Number((ulong)j);
                line.Character((byte)' ');
                line.Hexadecimal(frame->X[j], 16);
            }

            MachineConsole.Panic(line.Written);
        }

        Backtrace(frame, ref line);
        MachineConsole.Panic("quietus: halted; please report this, with the lines above"u8);
        MachineConsole.Drain();
        Instructions.Halt();
    }

    /// <summary>Follows the chain of frame records (AAPCS64 6.4.6) while it stays on this core's stack.</summary>
    private static void Backtrace(FaultFrame* frame, ref LineBuilder line)
    {
        Core* core = Core.Current;
        ulong record = frame->X[29];
        ulong returnAddress = frame->X[30];
        for (int depth = 0; depth < DeepestBacktrace; depth++)
        {
            line.Clear();
            line.Text("  from "u8);
            Place(ref line, returnAddress);
            MachineConsole.Panic(line.Written);

            // Invariant: the record is read only where it lies whole, and aligned, on this core's mapped stack.
            bool onStack = record >= core->StackBottom && record <= core->StackTop - 16 && (record & 15) == 0;
            if (!onStack)
            {
                return;
            }

            ulong next = ((ulong*)record)[0];
            returnAddress = ((ulong*)record)[1];
            if (returnAddress == 0 || next <= record)
            {
                return;
            }

            record = next;
        }
    }

    private static void Place(ref LineBuilder line, ulong address)
    {
        line.Hexadecimal(address, 16);
        ReadOnlySpan<byte> name = Symbols.Find(address, out ulong offset);
        if (name.Length != 0)
        {
            line.Character((byte)' ');
            line.Text(name);
            line.Text("+"u8);
            line.Hexadecimal(offset);
        }
    }

    /// <summary>The exception class (DDI 0487 D24.2.40, ESR_EL2.EC) in words.</summary>
    private static ReadOnlySpan<byte> Describe(ulong kind, ulong syndrome) => (kind & 3) switch
    {
        1 => "unexpected IRQ"u8,
        2 => "unexpected FIQ"u8,
        3 => "SError: the machine reports an asynchronous error"u8,
        _ => (syndrome >> 26) switch
        {
            0x00 => "undefined instruction"u8,
            0x0E => "illegal execution state"u8,
            0x21 => "instruction abort"u8,
            0x22 => "PC alignment fault"u8,
            0x25 => (syndrome & 0x3F) is >= 0x04 and <= 0x07
                ? "data abort, nothing mapped there (a stack's guard page, or a wild pointer)"u8
                : "data abort"u8,
            0x26 => "SP alignment fault"u8,
            0x3C => (syndrome & 0xFFFF) == AskedFor
                ? "asked for at the monitor"u8
                : "a check failed: an index out of range, a division by zero or an impossible cast"u8,
            _ => "unexpected exception"u8,
        },
    };
}
