namespace Quietus.Filler.Machine;

/// <summary>
/// A page of code that tests write and run: system registers are named in the instruction, so that trying them all
/// takes an instruction for each.
/// </summary>
/// <remarks>
/// Invariant: the page is this guest's own, writable and executable; one core at a time uses it; an index never goes
/// past <see cref="Capacity"/>, and the last place is left for the return.
/// </remarks>
internal static unsafe class GeneratedCode
{
    /// <summary>Instructions that fit, the return not counted.</summary>
    internal const int Capacity = 1023;

    private const uint Return = 0xD65F_03C0;
    private const uint MoveToSystem = 0xD510_0000;
    private const uint MoveFromSystem = 0xD530_0000;

    private static int _count;

    /// <summary>Whether another instruction fits.</summary>
    internal static bool IsFull => _count == Capacity;

    /// <summary>Forgets what was there.</summary>
    internal static void Clear() => _count = 0;

    internal static int Count => _count;

    internal static void Add(uint instruction)
    {
        if (_count < Capacity)
        {
            Instructions.CodePage()[_count++] = instruction;
        }
    }

    /// <summary>MRS to X0 or MSR from X0 of a register by its 16 bits of encoding (<see cref="Encode"/>).</summary>
    internal static uint SystemMove(uint encoding, bool write) =>
        (write ? MoveToSystem : MoveFromSystem) | ((encoding & 0x7FFF) << 5);

    /// <summary>The 16 bits that name a system register: op0 (2 or 3), op1, CRn, CRm, op2.</summary>
    internal static uint Encode(uint op0, uint op1, uint crn, uint crm, uint op2) =>
        ((op0 & 3) << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;

    /// <summary>Where an instruction lies: the first that was added is 0.</summary>
    internal static ulong AddressOf(int index) => (ulong)(Instructions.CodePage() + index);

    /// <summary>Reads a system register, by <see cref="Encode"/>'s number.</summary>
    internal static ulong Read(uint encoding) => RunOne(SystemMove(encoding, write: false), 0);

    /// <summary>Writes a system register.</summary>
    internal static void Write(uint encoding, ulong value) => RunOne(SystemMove(encoding, write: true), value);

    /// <summary>Runs what was added, with a value in X0, and returns X0.</summary>
    internal static ulong Run(ulong value)
    {
        uint* page = Instructions.CodePage();
        page[_count] = Return;
        int lines = ((_count * sizeof(uint)) / LineBytes) + 1;
        for (int i = 0; i < lines; i++)
        {
            Instructions.SynchronizeCodeLine((ulong)page + (ulong)(i * LineBytes));
        }

        return Instructions.Call((ulong)page, value);
    }

    /// <summary>Runs one instruction.</summary>
    internal static ulong RunOne(uint instruction, ulong value)
    {
        Clear();
        Add(instruction);
        return Run(value);
    }

    /// <summary>The smallest line of both caches (CTR_EL0).</summary>
    private static int LineBytes
    {
        get
        {
            ulong type = Instructions.ReadCtr();
            int data = 4 << (int)((type >> 16) & 0xF);
            int instruction = 4 << (int)(type & 0xF);
            return data < instruction ? data : instruction;
        }
    }
}
