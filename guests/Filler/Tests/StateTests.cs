using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>
/// Attempts to leave AArch64 (a hypervisor may also stop the VM: then no report comes), and the vector registers.
/// </summary>
/// <remarks>
/// Invariant: the program begins with its own count and is copied into a page of free memory; the record outlives the
/// call, since it is static.
/// </remarks>
internal static unsafe class StateTests
{
    // SPSR_EL1 with M[4] set, everything masked (DDI 0487, C5.2.18).
    private const ulong Supervisor32 = 0x1D3;
    private const ulong User32 = 0x1D0;

    /// <summary>AArch32 reaches 4 GB of addresses; this gigabyte is RAM only in a VM of more than 2 GB.</summary>
    private const int UserGigabyte = 3;

    internal static void AArch32(ref Tally tally)
    {
        // EL1 is AArch64 (HCR_EL2.RW): the return is illegal and stays here (DDI 0487 D1.6.5).
        Enter(ref tally, Instructions.SecondaryStart(), Supervisor32, mayRun: false);
        if (!Tables.IsFree(UserGigabyte))
        {
            return;
        }

        uint* program = Instructions.UserProgram();
        ulong page = FreeMemory.Find(0, out _);
        for (uint i = 0; i < program[0]; i++)
        {
            ((uint*)page)[i] = program[i + 1];
        }

        Instructions.SynchronizeCodeLine(page);
        ulong entry = Tables.Map(UserGigabyte, page, Tables.UserMemory);
        Enter(ref tally, entry, User32, mayRun: true);
        Tables.Unmap(UserGigabyte);
    }

    /// <summary>
    /// The vector registers: nothing in them as a core begins, and what the guest puts there stays. Leaves them marked.
    /// </summary>
    internal static void Vectors(ref Tally tally)
    {
        const ulong Pages = 64;
        const ulong FlagRegister = 0x18;
        ulong first = *Instructions.FirstVectors();
        tally.Check(first == 0, "the vector registers are zero at a core's first instruction"u8, first);
        for (ulong number = 0; number < Pages; number++)
        {
            ulong page = FreeMemory.Find(FreeMemory.Pages - 1 - number, out _);
            ulong changed = Instructions.VectorsOverExits(Board.Uart + FlagRegister, page);
            tally.Check(changed == 0, "exits leave the vector registers as they are"u8, changed);
        }
    }

    private static void Enter(ref Tally tally, ulong entry, ulong state, bool mayRun)
    {
        ref ExceptionRecord record = ref Exceptions.Expect();
        fixed (ulong* resume = &record.Resume)
        {
            Instructions.EnterState(entry, state, resume);
        }

        Exceptions.Done();
        uint end = record.Class;
        tally.Check(
            end == Exceptions.IllegalState || (mayRun && end == Exceptions.SupervisorCall32),
            "AArch32 is illegal, or ends in SVC"u8,
            record.Syndrome);
    }
}
