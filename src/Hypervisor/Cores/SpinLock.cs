using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A lock between cores (Boot/Instructions.S), held for some hundred instructions, and but for the console's own never
/// over output on the machine's UART. EL2 runs with interrupts masked, so a holder is never interrupted. A core that
/// takes it again and again runs its guest in between, so that the others get it. Order where two are held: a VM's
/// device lock, then its memory lock, then the console's.
/// </summary>
internal unsafe struct SpinLock
{
#pragma warning disable CS0649 // the assembly writes it
    private readonly uint _word;
#pragma warning restore CS0649

    // Invariant: locks lie in statics or boot memory, which nothing moves.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Enter() => Instructions.LockAcquire((uint*)Unsafe.AsPointer(in _word));

    // Invariant: as above.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Leave() => Instructions.LockRelease((uint*)Unsafe.AsPointer(in _word));
}
