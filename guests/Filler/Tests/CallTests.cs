using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>HVC and SMC that mean nothing (SMCCC, DEN0028).</summary>
/// <remarks>Invariant: the four registers of a call lie on this stack for its time.</remarks>
internal static unsafe class CallTests
{
    private const uint HypervisorCallInstruction = 0xD400_0002;
    private const uint SecureCallInstruction = 0xD400_0003;
    private const int RandomCalls = 4000;

    private const uint StandardServices = 4;
    private const uint Owners = 64;

    /// <summary>The numbers below this are PSCI's, where a wild call may rightly switch something off.</summary>
    private const uint PsciNumbers = 0x40;

    /// <summary>HVC with immediates and functions that are not defined: it returns, with NOT_SUPPORTED.</summary>
    internal static void BadCalls(ref Tally tally)
    {
        Immediates(ref tally);
        RandomNumbers random = new(1);
        for (uint owner = 0; owner < Owners; owner++)
        {
            for (uint form = 0; form < 4; form++)
            {
                // The ends of an owner's range, its middle, and where the general queries are (DEN0028, 6).
                ulong function = (form << 30) | (owner << 24);
                Call(ref tally, function | 0x0100, ref random);
                Call(ref tally, function | 0x7FFE, ref random);
                Call(ref tally, function | 0xFEFF, ref random);
                Call(ref tally, function | 0xFF02, ref random);
                Call(ref tally, function | 0xFF_0000, ref random);
            }
        }

        for (int i = 0; i < RandomCalls; i++)
        {
            Call(ref tally, random.Next(), ref random);
        }
    }

    /// <summary>SMC: this guest has no EL3 to call, so the instruction is undefined.</summary>
    internal static void SecureCalls(ref Tally tally)
    {
        for (uint i = 0; i < 17; i++)
        {
            uint immediate = i == 0 ? 0 : 1u << (int)(i - 1);
            Exceptions.Expect();
            GeneratedCode.RunOne(SecureCallInstruction | (immediate << 5), Firmware.SystemOff);
            ref ExceptionRecord record = ref Exceptions.Done();
            tally.Check(
                record.Count == 1 && record.Class == Exceptions.Unknown, "SMC is undefined"u8, record.Syndrome);
        }
    }

    private static void Immediates(ref Tally tally)
    {
        for (uint i = 0; i < 33; i++)
        {
            uint immediate = i < 16 ? 1u << (int)i : i < 32 ? 0xFFFFu >> (int)(i - 16) : 0xA5A5;
            Exceptions.Expect();
            GeneratedCode.RunOne(HypervisorCallInstruction | (immediate << 5), 0x8600_FEFE);
            tally.Check(Exceptions.Done().Count == 0, "HVC with an immediate returns"u8, immediate);
        }
    }

    private static void Call(ref Tally tally, ulong function, ref RandomNumbers random)
    {
        if (IsKnown((uint)function))
        {
            return;
        }

        ulong* registers = stackalloc ulong[4];
        registers[0] = function;
        registers[1] = random.Next();
        registers[2] = random.Next();
        registers[3] = random.Next();
        Exceptions.Expect();
        ulong changed = Instructions.HypervisorCallChecked(registers);
        ref ExceptionRecord record = ref Exceptions.Done();
        tally.Check(record.Count == 0, "HVC raises no exception"u8, function);
        tally.Check((int)(uint)registers[0] == Firmware.NotSupported, "an unknown call is not supported"u8, function);
        tally.Check(changed == 0, "a call changes no register but X0 to X3"u8, function);
    }

    /// <summary>
    /// Whether a hypervisor may answer: PSCI, general queries, the architecture's own, our report, stolen time.
    /// </summary>
    private static bool IsKnown(uint function)
    {
        uint owner = (function >> 24) & 0x3F;
        uint number = function & 0xFFFF;
        bool isQuery = number is >= 0xFF00 and <= 0xFF03;
        bool isPsci = owner == StandardServices && number < PsciNumbers;
        bool isTime = function is 0xC500_0020 or 0xC500_0021; // DEN0057
        return isPsci || owner == 0 || isQuery || isTime || function == Report.Function;
    }
}
