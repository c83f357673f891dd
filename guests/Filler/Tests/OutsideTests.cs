using System;
using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>Accesses where the board has nothing, up to the end of the physical addresses and past it.</summary>
/// <remarks>Invariant: the table of atomic accesses begins with its own count.</remarks>
internal static unsafe class OutsideTests
{
    private const ulong WriteNotRead = 1UL << 6;
    private const ulong FaultAddressNotValid = 1UL << 10;
    private const uint StatusMask = 0x3F;

    internal static void Run(ref Tally tally)
    {
        int bits = AddressBits();
        ulong end = 1UL << bits;
        Place(ref tally, 0x1000_0000); // below it a guest finds QEMU's flash and devices, absent
        Place(ref tally, Board.Distributor + 0x1_0000);
        Place(ref tally, Board.Uart + 0x10_0000);
        Place(ref tally, Board.RamStart - 0x1000);
        Place(ref tally, Board.RamEnd);
        Place(ref tally, Board.RamEnd + 0xFF8);
        Place(ref tally, (end / 2) + 0x1000);
        Place(ref tally, end - 8);
        if (bits < 48)
        {
            Place(ref tally, end);
            Place(ref tally, (1UL << 48) - 8);
        }

        // Tables that are nowhere, of level 2 and of level 3.
        ulong nowhere = Board.RamStart - 0x10_0000;
        Walks(ref tally, Tables.OpenTable(nowhere), 2);
        ulong table = FreeMemory.Find(0, out _);
        *(ulong*)table = nowhere | 3;
        Walks(ref tally, Tables.OpenTable(table), 3);
    }

    /// <summary>Accesses of all kinds whose walk finds no table: an external abort that says which (ESR_EL1).</summary>
    private static void Walks(ref Tally tally, ulong address, uint level)
    {
        uint* table = Instructions.WalkedAccesses();
        for (uint i = 1; i <= table[0]; i += 2)
        {
            Exceptions.Expect();
            GeneratedCode.RunOne(table[i], address);
            Compare(ref tally, Exceptions.DataAbort, level, table[i + 1]);
        }

        Exceptions.Expect();
        Instructions.Call(address, 0);
        Compare(ref tally, Exceptions.InstructionAbort, level, 0);
    }

    private static void Compare(ref Tally tally, uint exceptionClass, uint level, ulong kind)
    {
        const ulong InstructionLength = 1 << 25;
        const uint ExternalAbortOnWalk = 0x14;
        ulong expected = ((ulong)exceptionClass << 26) | InstructionLength | kind | (ExternalAbortOnWalk + level);
        ref ExceptionRecord record = ref Exceptions.Done();
        bool isRight = record.Count == 1 && record.Syndrome == expected;
        tally.Check(isRight, "a walk that finds no table is an external abort of its level"u8, record.Syndrome);
    }

    private static void Place(ref Tally tally, ulong address)
    {
        if (address >= Board.RamStart && address < Board.RamEnd)
        {
            return;
        }

        Access(ref tally, Tables.Open(address, Tables.Device));
        ulong window = Tables.Open(address, Tables.Memory);
        Access(ref tally, window);
        Fetch(ref tally, window);
        Atomics(ref tally, window);
    }

    private static void Access(ref Tally tally, ulong address)
    {
        Exceptions.Expect();
        Instructions.Load64(address);
        Data(ref tally, address, isWrite: false);
        Exceptions.Expect();
        Instructions.Load8(address + 3);
        Data(ref tally, address + 3, isWrite: false);
        Exceptions.Expect();
        Instructions.Store32(address, 0x4655_4C4C);
        Data(ref tally, address, isWrite: true);
    }

    private static void Data(ref Tally tally, ulong address, bool isWrite)
    {
        ref ExceptionRecord record = ref Exceptions.Done();
        tally.Check(record.Count == 1, "an access to nothing aborts once"u8, address);
        tally.Check(record.Class == Exceptions.DataAbort, "as a data abort"u8, record.Syndrome);
        tally.Check(((record.Syndrome & WriteNotRead) != 0) == isWrite, "that knows a write"u8, record.Syndrome);
        Common(ref tally, ref record, address);
    }

    private static void Fetch(ref Tally tally, ulong address)
    {
        ulong target = address & ~3UL;
        Exceptions.Expect();
        Instructions.Call(target, 0);
        ref ExceptionRecord record = ref Exceptions.Done();
        tally.Check(record.Count == 1, "a fetch from nothing aborts once"u8, target);
        tally.Check(record.Class == Exceptions.InstructionAbort, "as an instruction abort"u8, record.Syndrome);
        Common(ref tally, ref record, target);
    }

    private static void Common(ref Tally tally, ref ExceptionRecord record, ulong address)
    {
        tally.Check(
            record.FaultAddress == address || (record.Syndrome & FaultAddressNotValid) != 0,
            "with the address in FAR_EL1"u8,
            record.FaultAddress);

        // Address size or translation fault of any level, or a synchronous external abort.
        tally.Check(
            ((uint)record.Syndrome & StatusMask) is <= 0x07 or 0x10, "and a status that says so"u8, record.Syndrome);
    }

    private static void Atomics(ref Tally tally, ulong address)
    {
        uint* table = Instructions.AtomicAccesses();
        for (uint i = 1; i <= table[0]; i++)
        {
            Exceptions.Expect();
            GeneratedCode.RunOne(table[i], address & ~15UL);
            ref ExceptionRecord record = ref Exceptions.Done();
            tally.Check(
                record.Count == 1 && record.Class is Exceptions.DataAbort or Exceptions.Unknown,
                "an atomic or paired access to nothing aborts"u8,
                table[i]);
        }
    }

    /// <summary>Bits of an intermediate physical address (ID_AA64MMFR0_EL1.PARange).</summary>
    private static int AddressBits()
    {
        uint read = GeneratedCode.SystemMove(GeneratedCode.Encode(3, 0, 0, 7, 0), write: false);
        return (GeneratedCode.RunOne(read, 0) & 0xF) switch
        {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            _ => 48,
        };
    }
}
