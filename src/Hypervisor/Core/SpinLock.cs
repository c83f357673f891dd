using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Core;

/// <summary>
/// A lock between cores: LDAXR/STXR with WFE while it is taken. EL2 runs with interrupts masked, so a holder is never
/// interrupted. Order where two are held: a VM's device lock, then its memory lock, then the console's.
/// </summary>
internal unsafe struct SpinLock
{
    private uint _word;

    // Invariant: locks lie in statics or boot memory, which nothing moves.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Enter() => Instructions.LockAcquire((uint*)Unsafe.AsPointer(ref _word));

    /// <summary>STLR, which also ends the WFE of those who wait: it clears their exclusive monitors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Leave() => Volatile.Write(ref _word, 0u);
}
