using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>
/// Self-hosted debug (DDI 0487 D2): breakpoints, watchpoints, software steps and the OS lock, of this guest's own EL1.
/// Nothing of a guest before is left, and everything is left set for the next one, which must not find it.
/// </summary>
internal static class DebugTests
{
    private const uint NoOperation = 0xD503_201F;
    private const uint UnmaskDebug = 0xD503_48FF;   // msr daifclr, #8
    private const uint MaskDebug = 0xD503_48DF;     // msr daifset, #8
    private const uint Load = 0xF940_0001;          // ldr x1, [x0]
    private const uint LoadWord = 0xB940_0001;      // ldr w1, [x0]
    private const uint Store = 0xF900_0001;         // str x1, [x0]
    private const uint HypervisorCall = 0xD400_0002;

    private const ulong StepsInKernel = 0x2001;     // MDSCR_EL1: KDE, SS
    private const ulong PointsInKernel = 0xA000;    // MDSCR_EL1: KDE, MDE
    private const ulong BreakAtEl1 = 0x1E3;         // DBGBCR: four bytes, EL1, enabled
    private const ulong WatchLoads = 0x1FEB;        // DBGWCR: eight bytes, loads, EL1, enabled
    private const ulong WatchBoth = 0x1FFB;
    private const ulong LockExists = 8;             // OSLSR_EL1
    private const ulong WriteNotRead = 1UL << 6;    // ESR_EL1.WnR
    private const ulong AllTags = 0xFF;

    /// <summary>The most that the architecture has: 16 of each of four kinds.</summary>
    private const uint Points = 64;

    /// <summary>A word in the page of the generated code, far behind it.</summary>
    private const int DataPlace = 512;

    private static uint Control => GeneratedCode.Encode(2, 0, 0, 2, 2);     // MDSCR_EL1

    private static uint Lock => GeneratedCode.Encode(2, 0, 1, 0, 4);        // OSLAR_EL1

    private static uint LockStatus => GeneratedCode.Encode(2, 0, 1, 1, 4);  // OSLSR_EL1

    private static uint ClaimSet => GeneratedCode.Encode(2, 0, 7, 8, 6);    // DBGCLAIMSET_EL1

    private static uint ClaimClear => GeneratedCode.Encode(2, 0, 7, 9, 6);  // DBGCLAIMCLR_EL1

    internal static void Run(ref Tally tally)
    {
        ulong features = GeneratedCode.Read(GeneratedCode.Encode(3, 0, 0, 5, 0));
        uint breakpoints = (uint)((features >> 12) & 0xF) + 1;
        uint watchpoints = (uint)((features >> 20) & 0xF) + 1;
        NothingIsLeft(ref tally);
        for (uint i = 0; i < breakpoints; i++)
        {
            Break(ref tally, i);
        }

        for (uint i = 0; i < watchpoints; i++)
        {
            Watch(ref tally, i);
        }

        Step(ref tally);
        Claims(ref tally);
        LeaveEverything();
    }

    /// <summary>The registers of a guest before, and what they would do.</summary>
    private static void NothingIsLeft(ref Tally tally)
    {
        Exceptions.Expect(); // those that there are not read as the zero in X0
        for (uint point = 0; point < Points; point++)
        {
            ulong value = GeneratedCode.Read(Point(point & 3, point >> 2));
            tally.Check(value == 0, "a debug register begins as zero"u8, value);
        }

        Exceptions.Done();
        tally.Check(GeneratedCode.Read(Control) == 0, "so does MDSCR_EL1"u8);
        tally.Check(GeneratedCode.Read(LockStatus) == LockExists, "the OS lock is open"u8);
        Quiet(ref tally, NoOperation);
    }

    private static void Break(ref Tally tally, uint number)
    {
        const int Target = 2;
        GeneratedCode.Write(Point(0, number), GeneratedCode.AddressOf(Target));
        GeneratedCode.Write(Point(1, number), BreakAtEl1);
        Quiet(ref tally, NoOperation);
        GeneratedCode.Write(Control, PointsInKernel);
        if (number == 0)
        {
            GeneratedCode.Write(Lock, 1);
            Quiet(ref tally, NoOperation);
            GeneratedCode.Write(Lock, 0);
        }

        ref ExceptionRecord record = ref Debugged(NoOperation, 0);
        bool isHit = record.Count == 1 && record.Class == Exceptions.Breakpoint
            && record.ProgramCounter == GeneratedCode.AddressOf(Target);
        tally.Check(isHit, "a breakpoint is hit once, at its address"u8, record.Syndrome);
        tally.Check(GeneratedCode.Read(Point(1, number)) == BreakAtEl1, "and keeps its control"u8, number);
        GeneratedCode.Write(Point(1, number), 0);
        Quiet(ref tally, NoOperation);
        GeneratedCode.Write(Control, 0);
    }

    private static void Watch(ref Tally tally, uint number)
    {
        GeneratedCode.Write(Point(2, number), GeneratedCode.AddressOf(DataPlace));
        GeneratedCode.Write(Point(3, number), WatchLoads);
        GeneratedCode.Write(Control, PointsInKernel);
        Watched(ref tally, Load, isWrite: false);
        Quiet(ref tally, Store);
        GeneratedCode.Write(Point(3, number), WatchBoth);
        Watched(ref tally, Store, isWrite: true);
        GeneratedCode.Write(Point(3, number), 0);
        Quiet(ref tally, Load);
        GeneratedCode.Write(Control, 0);
    }

    private static void Watched(ref Tally tally, uint instruction, bool isWrite)
    {
        ulong data = GeneratedCode.AddressOf(DataPlace);
        ref ExceptionRecord record = ref Debugged(instruction, data);
        bool isHit = record.Count == 1 && record.Class == Exceptions.Watchpoint && record.FaultAddress == data
            && ((record.Syndrome & WriteNotRead) != 0) == isWrite;
        tally.Check(isHit, "a watchpoint is hit once, at its address, and knows a store"u8, record.Syndrome);
    }

    /// <summary>
    /// Each instruction is one step, also where a hypervisor carries it out: an ID register, a device, a call.
    /// </summary>
    private static void Step(ref Tally tally)
    {
        const uint Steps = 6;
        GeneratedCode.Write(Control, StepsInKernel);
        GeneratedCode.Clear();
        GeneratedCode.Add(UnmaskDebug);
        GeneratedCode.Add(NoOperation);
        GeneratedCode.Add(GeneratedCode.SystemMove(GeneratedCode.Encode(3, 0, 0, 4, 0), write: false) | 2);
        GeneratedCode.Add(LoadWord);
        GeneratedCode.Add(NoOperation);
        GeneratedCode.Add(HypervisorCall);
        GeneratedCode.Add(MaskDebug);
        const ulong FlagRegister = 0x18;
        Exceptions.Expect();
        GeneratedCode.Run(Board.Uart + FlagRegister);
        ref ExceptionRecord record = ref Exceptions.Done();
        GeneratedCode.Write(Control, 0);

        // QEMU (7.2) reports the step that masks the exception, too.
        bool isStepped = record.Class == Exceptions.SoftwareStep && record.Leaps == 0
            && record.Count is Steps or Steps + 1;
        tally.Check(isStepped, "each instruction is one step, and none is left out"u8, record.Count);
    }

    /// <summary>QEMU has the claim tags from version 8.0 on; before, the core itself finds them undefined.</summary>
    private static void Claims(ref Tally tally)
    {
        Exceptions.Expect();
        ulong left = GeneratedCode.Read(ClaimClear);
        if (Exceptions.Done().Count != 0)
        {
            return;
        }

        tally.Check(left == 0 && GeneratedCode.Read(ClaimSet) == AllTags, "eight claim tags, none set"u8, left);
        GeneratedCode.Write(ClaimSet, 0xA5);
        GeneratedCode.Write(ClaimClear, 0x21);
        left = GeneratedCode.Read(ClaimClear);
        tally.Check(left == 0x84, "claim tags are set and cleared one by one"u8, left);
    }

    /// <summary>Every point that there is, at a place that everything reads, writes and runs.</summary>
    private static void LeaveEverything()
    {
        Exceptions.Expect();
        for (uint point = 0; point < Points; point++)
        {
            bool isControl = (point & 1) != 0;
            ulong control = (point & 2) != 0 ? WatchBoth : BreakAtEl1;
            GeneratedCode.Write(Point(point & 3, point >> 2), isControl ? control : GeneratedCode.AddressOf(0));
        }

        Exceptions.Done();
        GeneratedCode.Write(Control, PointsInKernel | StepsInKernel);
        GeneratedCode.Write(Lock, 1);
    }

    private static void Quiet(ref Tally tally, uint instruction)
    {
        uint count = Debugged(instruction, GeneratedCode.AddressOf(DataPlace)).Count;
        tally.Check(count == 0, "nothing that is not enabled is hit"u8, count);
    }

    /// <summary>Runs an instruction between two others, with debug exceptions unmasked.</summary>
    private static ref ExceptionRecord Debugged(uint instruction, ulong value)
    {
        GeneratedCode.Clear();
        GeneratedCode.Add(UnmaskDebug);
        GeneratedCode.Add(NoOperation);
        GeneratedCode.Add(instruction);
        GeneratedCode.Add(NoOperation);
        GeneratedCode.Add(MaskDebug);
        Exceptions.Expect();
        GeneratedCode.Run(value);
        return ref Exceptions.Done();
    }

    /// <summary>DBGBVR (0), DBGBCR (1), DBGWVR (2), DBGWCR (3) of a number.</summary>
    private static uint Point(uint kind, uint number) => GeneratedCode.Encode(2, 0, 0, number, 4 + kind);
}
