using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Core;

/// <summary>
/// A lock between cores: LDAXR/STXR with WFE while it is taken. EL2 runs with interrupts masked, so a holder is never
/// interrupted. Order where two are held: a VM's device lock, then its memory lock, then the console's.
/// </summary>
internal unsafe struct SpinLock
{
    private uint _word;

    internal void Enter()
    {
        // Invariant: locks lie in statics or boot memory, which nothing moves.
        fixed (uint* word = &_word)
        {
            Instructions.LockAcquire(word);
        }
    }

    internal void Leave()
    {
        // Invariant: as above.
        fixed (uint* word = &_word)
        {
            Instructions.LockRelease(word);
        }
    }
}
