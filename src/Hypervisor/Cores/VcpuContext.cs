using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Quietus.Hypervisor.Devices;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A vCPU's registers while EL2 runs, and why it left the guest. Boot/Vectors.S stores and loads it by these offsets.
/// EL1's system registers stay in the core until the vCPU leaves it (<see cref="GuestRegisters"/>).
/// </summary>
/// <remarks>
/// Invariant: the fixed arrays are as long as the architecture's registers; an index is checked before it is used.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = 800)]
internal unsafe struct VcpuContext
{
    /// <summary>Every A64 instruction's size.</summary>
    private const ulong InstructionBytes = 4;

    /// <summary>SPSR_EL2.SS, which an instruction that is stepped uses up, and BTYPE, which every one resets.</summary>
    private const ulong SpentByInstruction = (1UL << 21) | (3UL << 10);

    [FieldOffset(0)]
    internal fixed ulong X[31];

    /// <summary>ELR_EL2: where the guest goes on.</summary>
    [FieldOffset(248)]
    internal ulong ProgramCounter;

    /// <summary>SPSR_EL2: in which state.</summary>
    [FieldOffset(256)]
    internal ulong ProcessorState;

    /// <summary>ESR_EL2 of the last exit.</summary>
    [FieldOffset(264)]
    internal ulong Syndrome;

    // From here on the core holds what is the guest's, but for Q16 and Q17, which EL2 uses and each exit saves; it is
    // here before the guest is first entered, and after Instructions.SaveVectors.
    [FieldOffset(272)]
    internal ulong FloatingPointStatus;

    [FieldOffset(280)]
    internal ulong FloatingPointControl;

    /// <summary>Q0 to Q31, 16 bytes each.</summary>
    [FieldOffset(288)]
    internal fixed ulong Vector[64];

    /// <summary>X0 to X3, which calls take and give. For a context that nothing moves.</summary>
    internal GuestCallRegisters* FirstFour => (GuestCallRegisters*)Unsafe.AsPointer(ref X[0]);

    /// <summary>A general register as an instruction names it: 31 is the zero register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly ulong Register(uint number) => number < 31 ? X[number] : 0;

    /// <summary>The instruction that the guest left at has been carried out here: it goes on after it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void StepOver()
    {
        ProgramCounter += InstructionBytes;
        ProcessorState &= ~SpentByInstruction;
    }

    /// <summary>Writes a general register; 31 takes nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void SetRegister(uint number, ulong value)
    {
        if (number < 31)
        {
            X[number] = value;
        }
    }
}
