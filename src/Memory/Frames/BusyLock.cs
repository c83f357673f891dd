using System.Threading;

namespace Quietus.Memory;

/// <summary>
/// A lock for the few structures that PEs share across VMs (the pool's chunk lists, the VMID generations).
/// It is held for a bounded handful of instructions and never nested, so waiting PEs spin.
/// </summary>
internal struct BusyLock
{
    private int _held;

    /// <summary>Takes the lock; acquire semantics.</summary>
    internal void Enter()
    {
        while (Interlocked.CompareExchange(ref _held, 1, 0) != 0)
        {
            while (Volatile.Read(ref _held) != 0)
            {
            }
        }
    }

    /// <summary>Gives the lock back; release semantics.</summary>
    internal void Leave() => Volatile.Write(ref _held, 0);
}
