using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// Hears what happens on a server beside the engine's own operations: what a checker has to know of the host. No one
/// listens unless a check is asked for.
/// </summary>
public interface IServerListener
{
    /// <summary>A VM has its root table.</summary>
    void Created(SimulatedVm vm);

    /// <summary>The engine is called: to answer a fault, to unmap, to release.</summary>
    void BeginsCall(SimulatedVm vm);

    /// <summary>The call is about to return to its caller.</summary>
    void EndsCall(SimulatedVm vm);

    /// <summary>The host gave a process a page and filled it, through the caches.</summary>
    /// <param name="process">Whose it is now.</param>
    /// <param name="frame">The page, aligned to its size.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="isZeroed">Filled with zeroes; else with contents of the same process.</param>
    void TookPage(HostProcess process, Pa frame, ulong bytes, bool isZeroed);

    /// <summary>The last owner of a page gave it up: any VM or process may get it next.</summary>
    void FreedPage(Pa frame, ulong bytes);
}
