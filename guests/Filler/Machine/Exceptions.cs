using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Quietus.Filler.Machine;

/// <summary>The registers at an exception, as Boot/Vectors.S stores them; q0 to q31 follow at offset 288.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ExceptionFrame
{
    // Invariant: Vectors.S stores X0 to X30 here, and nothing indexes past them.
    internal fixed ulong X[31];
    internal ulong ProgramCounter;
    internal ulong ProcessorState;
    internal ulong Syndrome;
    internal ulong FaultAddress;
}

/// <summary>What one core has taken since it began to expect exceptions.</summary>
internal struct ExceptionRecord
{
    internal bool Expecting;
    internal uint Count;

    /// <summary>Bit n: an exception of class n (ESR_EL1.EC) came.</summary>
    internal ulong Classes;

    /// <summary>ESR_EL1 of the last one that was not simply undefined.</summary>
    internal ulong OtherSyndrome;

    /// <summary>ESR_EL1 and FAR_EL1 of the last one.</summary>
    internal ulong Syndrome;
    internal ulong FaultAddress;

    /// <summary>ELR_EL1 of the last one.</summary>
    internal ulong ProgramCounter;

    /// <summary>Software steps that did not come one instruction after the last exception.</summary>
    internal uint Leaps;

    /// <summary>Where to go on when there is no next instruction to skip to.</summary>
    internal ulong Resume;

    internal readonly uint Class => (uint)(Syndrome >> 26) & 0x3F;
}

/// <summary>
/// The guest's exceptions. While a test expects some, the instruction is skipped and noted; else the guest has failed:
/// it prints its registers, reports it, and powers off.
/// </summary>
/// <remarks>Invariant: a frame lives on the stack of the core that took the exception, during the call.</remarks>
internal static unsafe class Exceptions
{
    // Exception classes (DDI 0487, ESR_ELx.EC).
    internal const uint Unknown = 0x00;
    internal const uint IllegalState = 0x0E;
    internal const uint SupervisorCall32 = 0x11;
    internal const uint TrappedMove = 0x18;
    internal const uint InstructionAbortLower = 0x20;
    internal const uint InstructionAbort = 0x21;
    internal const uint MisalignedPc = 0x22;
    internal const uint DataAbort = 0x25;
    internal const uint Breakpoint = 0x31;
    internal const uint SoftwareStep = 0x33;
    internal const uint Watchpoint = 0x35;

    // SPSR_EL1.D and SS.
    private const ulong DebugMaskBit = 1UL << 9;
    private const ulong StepBit = 1UL << 21;

    /// <summary>More than any test can mean to cause at once: code has run away through memory.</summary>
    private const uint MostExpected = 4096;

    private const ulong KindMask = 3;
    private const ulong InterruptKind = 1;
    private const ulong FirstLowerKind = 8;
    private const ulong IllegalStateBit = 1UL << 20;

    /// <summary>EL1 with its own stack pointer, everything masked.</summary>
    private const ulong MaskedEl1 = 0x3C5;

    private static Records _records;

    /// <summary>This core's record.</summary>
    internal static ref ExceptionRecord Current => ref _records[Board.CurrentCpu()];

    /// <summary>From now on this core's synchronous exceptions are noted and passed over.</summary>
    internal static ref ExceptionRecord Expect()
    {
        ref ExceptionRecord record = ref Current;
        record = default;
        record.Expecting = true;
        return ref record;
    }

    /// <summary>From now on an exception is a failure again; what was noted stays until <see cref="Expect"/>.</summary>
    internal static ref ExceptionRecord Done()
    {
        ref ExceptionRecord record = ref Current;
        record.Expecting = false;
        return ref record;
    }

    /// <summary>Every exception (Boot/Vectors.S); kind is the vector's number.</summary>
    [RuntimeExport("filler_exception")]
    private static void Take(ExceptionFrame* frame, ulong kind)
    {
        ref ExceptionRecord record = ref Current;
        if ((kind & KindMask) == InterruptKind)
        {
            Interrupts.Take();
        }
        else if ((kind & KindMask) == 0 && record.Expecting && record.Count < MostExpected)
        {
            record.Count++;
            record.Syndrome = frame->Syndrome;
            record.FaultAddress = frame->FaultAddress;
            record.Classes |= 1UL << (int)record.Class;
            record.Leaps += record.Count > 1 && frame->ProgramCounter != record.ProgramCounter + 4 ? 1u : 0;
            record.ProgramCounter = frame->ProgramCounter;
            if (record.Class != Unknown)
            {
                record.OtherSyndrome = record.Syndrome;
            }

            PassOver(frame, ref record, fromLower: kind >= FirstLowerKind);
        }
        else
        {
            Fail(frame, kind);
        }
    }

    private static void PassOver(ExceptionFrame* frame, ref ExceptionRecord record, bool fromLower)
    {
        switch (record.Class)
        {
            case InstructionAbort or MisalignedPc when !fromLower:
                frame->ProgramCounter = frame->X[30];
                break;

            // The instruction itself goes on: with debug exceptions masked, or to the next step.
            case Breakpoint or Watchpoint:
                frame->ProcessorState |= DebugMaskBit;
                break;
            case SoftwareStep:
                frame->ProcessorState |= StepBit;
                break;

            // A trapped instruction, or an access that was refused.
            case not (IllegalState or SupervisorCall32 or InstructionAbortLower):
                frame->ProgramCounter += 4;
                break;
            default:
                frame->ProgramCounter = record.Resume;
                frame->ProcessorState = MaskedEl1;
                break;
        }

        frame->ProcessorState &= ~IllegalStateBit;
    }

    private static void Fail(ExceptionFrame* frame, ulong kind)
    {
        // A second failure, of the printing itself, would go round for ever.
        ref ExceptionRecord record = ref Current;
        if (record.Resume == ulong.MaxValue)
        {
            Instructions.Halt();
        }

        record.Resume = ulong.MaxValue;
        Terminal.Begin();
        Terminal.Text("unexpected exception, vector "u8);
        Terminal.Decimal(kind);
        Terminal.Text(" esr "u8);
        Terminal.Hexadecimal(frame->Syndrome);
        Terminal.Text(" far "u8);
        Terminal.Hexadecimal(frame->FaultAddress);
        Terminal.Text(" pc "u8);
        Terminal.Hexadecimal(frame->ProgramCounter);
        Terminal.Text(" spsr "u8);
        Terminal.Hexadecimal(frame->ProcessorState);
        for (int i = 0; i < 31; i++)
        {
            Terminal.Text(i % 4 == 0 ? "\r\nfiller:   x"u8 : " x"u8);
            Terminal.Decimal((ulong)i);
            Terminal.Byte((byte)' ');
            Terminal.Hexadecimal(frame->X[i]);
        }

        Terminal.EndLine();
        Report.TestFailed(frame->Syndrome);
        Firmware.TurnOff();
    }

    [InlineArray(Board.MaximumCpus)]
    private struct Records
    {
        private ExceptionRecord _first;
    }
}
