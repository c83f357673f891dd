using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>Devices accessed in every way: each access returns or aborts.</summary>
/// <remarks>Invariant: the table of odd accesses begins with its own count.</remarks>
internal static unsafe class DeviceTests
{
    private const ulong DistributorBytes = 0x10000;
    private const ulong UartBytes = 0x1000;

    internal static void Run(ref Tally tally)
    {
        BigEndian(ref tally);
        RandomNumbers random = new(4);
        Sweep(ref tally, Board.Distributor, DistributorBytes, ref random);
        Sweep(ref tally, Interrupts.Redistributor(Board.CurrentCpu()), Board.RedistributorBytes, ref random);
        Sweep(ref tally, Board.Uart, UartBytes, ref random);
        OddAccesses(ref tally, Board.Distributor);
        OddAccesses(ref tally, Board.Distributor + DistributorBytes - 8);
        OddAccesses(ref tally, Interrupts.Redistributor(Board.CurrentCpu()));
        OddAccesses(ref tally, Board.Uart);
        OddAccesses(ref tally, Board.Uart + UartBytes - 8);
    }

    /// <summary>The UART's first identification register, 0x11, in the other order.</summary>
    private static void BigEndian(ref Tally tally)
    {
        const ulong PeripheralId = 0xFE0;
        ulong value = Instructions.BigEndianLoad(Board.Uart + PeripheralId);
        tally.Check(value == 0x1100_0000, "a big-endian load swaps its bytes"u8, value);
    }

    /// <summary>Every word of a device, in every size, read and written with anything.</summary>
    private static void Sweep(ref Tally tally, ulong device, ulong bytes, ref RandomNumbers random)
    {
        for (ulong offset = 0; offset < bytes; offset += 4)
        {
            ulong address = device + offset;
            ulong value = random.Next();
            Exceptions.Expect();
            Instructions.Load8(address + (value & 3));
            Instructions.Store8(address + (value & 3), value);
            Instructions.Load16(address + (value & 2));
            Instructions.Store16(address + (value & 2), value);
            Instructions.Load32(address);
            Instructions.Store32(address, value);
            if ((offset & 4) == 0)
            {
                Instructions.Load64(address);
                Instructions.Store64(address, value);
            }

            ref ExceptionRecord record = ref Exceptions.Done();
            tally.Tried((offset & 4) == 0 ? 7u : 5u);
            tally.Check(
                (record.Classes & ~(1UL << (int)Exceptions.DataAbort)) == 0,
                "an access to a device works or aborts"u8,
                address);
        }
    }

    private static void OddAccesses(ref Tally tally, ulong address)
    {
        uint* table = Instructions.OddAccesses();
        const ulong Allowed = (1UL << (int)Exceptions.DataAbort) | (1UL << (int)Exceptions.Unknown);
        for (uint i = 1; i <= table[0]; i++)
        {
            Exceptions.Expect();
            GeneratedCode.RunOne(table[i], address);
            ref ExceptionRecord record = ref Exceptions.Done();
            tally.Check((record.Classes & ~Allowed) == 0, "an odd access works or aborts"u8, table[i]);
        }
    }
}
