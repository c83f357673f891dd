using System;
using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>System registers: all of them, and what the identification registers may say.</summary>
/// <remarks>Invariant: each table (Boot/Templates.S) begins with its own count.</remarks>
internal static unsafe class RegisterTests
{
    private const uint FirstEncoding = 2u << 14;
    private const uint EndOfEncodings = 4u << 14;

    /// <summary>With FEAT_IDST, what is not there among the ID registers has the class of a trap.</summary>
    private const ulong Undefined = (1UL << (int)Exceptions.Unknown) | (1UL << (int)Exceptions.TrappedMove);

    /// <summary>What X1 holds before a read that may be undefined: a value that no register has.</summary>
    private const ulong NotRead = 0xFFFF_FFFF_FFFF_A5A5;

    /// <summary>
    /// MRS and MSR of every encoding with op0 2 or 3: each works or is undefined, and nothing hangs. Those that can be
    /// read are listed with their values, before any is written. Registers that the guest stands on are only read.
    /// </summary>
    internal static void EveryRegister(ref Tally tally)
    {
        EnableHiddenFeatures();
        List(ref tally);
        Move(ref tally, write: true, 0);
        Move(ref tally, write: true, ulong.MaxValue);

        // Back to what a guest expects to find: no debug events, no counters, no timers.
        Exceptions.Expect();
        GeneratedCode.Clear();
        AddWrite(GeneratedCode.Encode(2, 0, 0, 2, 2));      // MDSCR_EL1
        AddWrite(GeneratedCode.Encode(3, 3, 14, 2, 1));     // CNTP_CTL_EL0
        AddWrite(GeneratedCode.Encode(3, 3, 4, 4, 0));      // FPCR
        AddWrite(GeneratedCode.Encode(3, 0, 12, 12, 7));    // ICC_IGRPEN1_EL1
        GeneratedCode.Run(0);
        Exceptions.Done();
    }

    /// <summary>Hidden features: their fields are zero, and their instructions undefined.</summary>
    internal static void Identification(ref Tally tally)
    {
        uint* fields = Instructions.HiddenFields();
        for (uint i = 1; i <= fields[0]; i++)
        {
            uint field = fields[i];
            ulong value = Read(field & 0xFF, (field >> 8) & 0xFF) >> (int)((field >> 16) & 0xFF);
            ulong mask = ulong.MaxValue >> (int)(64 - (field >> 24));
            tally.Check((value & mask) == 0, "the ID field of a hidden feature is zero (Templates.S)"u8, field);
        }

        ulong counters = (Read(5, 0) >> 8) & 0xF;
        tally.Check(counters is 0 or 0xF, "the performance monitors are hidden"u8, counters);
        ulong debug = Read(5, 0) & 0xF;
        tally.Check(debug is >= 6 and < 0xF, "the debug architecture is at least Armv8's"u8, debug);
        HiddenInstructions(ref tally);
    }

    private static void HiddenInstructions(ref Tally tally)
    {
        EnableHiddenFeatures();
        uint* table = Instructions.HiddenInstructions();
        for (uint i = 1; i <= table[0]; i++)
        {
            Exceptions.Expect();
            GeneratedCode.RunOne(table[i], 0);
            ref ExceptionRecord record = ref Exceptions.Done();
            tally.Check(
                record.Count == 1 && record.Class == Exceptions.Unknown,
                "an instruction of a hidden feature is undefined"u8,
                table[i]);
        }
    }

    /// <summary>Prints "reg NUMBER VALUE" for each register that can be read.</summary>
    private static void List(ref Tally tally)
    {
        const uint LoadMark = 0x9282_0000 | (0x5A5A << 5) | 2;  // movn x2, #0x5a5a
        const uint TakeMark = 0xAA02_03E1;                      // mov x1, x2
        const uint KeepValue = 0xF800_8401;                     // str x1, [x0], #8
        const uint BatchLength = 256;
        ulong* values = (ulong*)FreeMemory.Find(0, out _);
        for (uint first = FirstEncoding; first < EndOfEncodings; first += BatchLength)
        {
            GeneratedCode.Clear();
            GeneratedCode.Add(LoadMark);
            for (uint i = 0; i < BatchLength; i++)
            {
                GeneratedCode.Add(TakeMark);
                GeneratedCode.Add(GeneratedCode.SystemMove(first + i, write: false) | 1);
                GeneratedCode.Add(KeepValue);
            }

            Exceptions.Expect();
            GeneratedCode.Run((ulong)values);
            Judge(ref tally, ref Exceptions.Done(), BatchLength);
            for (uint i = 0; i < BatchLength; i++)
            {
                if (values[i] != NotRead)
                {
                    Terminal.Text("reg "u8);
                    Terminal.Hexadecimal(first + i);
                    Terminal.Byte((byte)' ');
                    Terminal.Hexadecimal(values[i]);
                    Terminal.EndLine();
                }
            }
        }
    }

    private static void Judge(ref Tally tally, ref ExceptionRecord record, ulong tries)
    {
        tally.Tried(tries);
        tally.Check(
            (record.Classes & ~Undefined) == 0,
            "a system register works or is undefined, with no other syndrome"u8,
            record.OtherSyndrome);
    }

    private static void AddWrite(uint encoding) =>
        GeneratedCode.Add(GeneratedCode.SystemMove(encoding, write: true));

    /// <summary>
    /// Sets the enables of CPACR_EL1 and SCTLR_EL1: what is trapped after that is not trapped by this guest, and what
    /// is a NOP while disabled is none. Of a feature that is not there the enable has no effect.
    /// </summary>
    private static void EnableHiddenFeatures()
    {
        const ulong VectorEnables = (3UL << 16) | (3UL << 20) | (3UL << 24); // ZEN, FPEN, SMEN
        const ulong KeyEnable = 1UL << 31;                                   // EnIA
        GeneratedCode.RunOne(GeneratedCode.SystemMove(Control(2), write: true), VectorEnables);
        ulong control = GeneratedCode.RunOne(GeneratedCode.SystemMove(Control(0), write: false), 0);
        GeneratedCode.RunOne(GeneratedCode.SystemMove(Control(0), write: true), control | KeyEnable);
        Instructions.Synchronize();
    }

    /// <summary>SCTLR_EL1 (0) or CPACR_EL1 (2).</summary>
    private static uint Control(uint op2) => GeneratedCode.Encode(3, 0, 1, 0, op2);

    private static ulong Read(uint crm, uint op2) =>
        GeneratedCode.RunOne(GeneratedCode.SystemMove(GeneratedCode.Encode(3, 0, 0, crm, op2), write: false), 0);

    private static void Move(ref Tally tally, bool write, ulong value)
    {
        uint encoding = FirstEncoding;
        while (encoding < EndOfEncodings)
        {
            GeneratedCode.Clear();
            for (; encoding < EndOfEncodings && !GeneratedCode.IsFull; encoding++)
            {
                if (!write || MayWrite(encoding))
                {
                    GeneratedCode.Add(GeneratedCode.SystemMove(encoding, write));
                }
            }

            Exceptions.Expect();
            GeneratedCode.Run(value);
            Judge(ref tally, ref Exceptions.Done(), (ulong)GeneratedCode.Count);
        }
    }

    /// <summary>Whether writing cannot take the ground from under the guest's feet.</summary>
    private static bool MayWrite(uint encoding)
    {
        uint op1 = (encoding >> 11) & 7;
        uint crn = (encoding >> 7) & 15;
        uint crm = (encoding >> 3) & 15;
        uint op2 = encoding & 7;
        if (encoding >> 14 == 2)
        {
            return true;
        }

        return (op1, crn) switch
        {
            (0, 1) => crm != 0 || op2 is 1,                     // SCTLR_EL1, CPACR_EL1 and their extensions
            (0, 2) => false,                                    // TTBR0_EL1, TTBR1_EL1, TCR_EL1, keys
            (0, 4) => false,                                    // SPSR_EL1, ELR_EL1, SP_EL0, SPSel, PAN, ICC_PMR_EL1
            (0, 10) => crm is not (2 or 3),                     // MAIR_EL1, AMAIR_EL1, permission indirection
            (0, 12) => !(crm == 0 && op2 is 0 or 2) && !IsSend(crm, op2), // VBAR_EL1, RMR_EL1
            (3, 4) => crm is not (2 or 5),                      // NZCV, DAIF, SVCR, DSPSR_EL0
            (3, 14) => crm != 3,                                // CNTV_*: the virtual timer
            _ => true,
        };
    }

    /// <summary>ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1: test=sgi sends where a core listens.</summary>
    private static bool IsSend(uint crm, uint op2) => crm == 11 && op2 is 5 or 6 or 7;
}
