using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// The hardware boundary of this layer: the engine's, and what a VM's memory needs besides. An implementation
/// is a small struct that knows where its VM's records lie; copies mean the same machine.
/// </summary>
/// <remarks>
/// The engine's table pages come from the VM's own chunks: an implementation forwards
/// <see cref="IStage2Machine.ReserveTables"/>, <see cref="IStage2Machine.TakeTable"/> and their like to
/// <see cref="VmTables"/>.
/// </remarks>
public interface IMemoryMachine : IStage2Machine, IVmidInvalidation
{
    /// <summary>The pool that all VMs share.</summary>
    ref FramePool Pool { get; }

    /// <summary>What this machine's VM holds of the pool.</summary>
    ref VmFrames Frames { get; }

    /// <summary>
    /// CTR_EL0.DIC: instruction fetches are coherent without instruction cache invalidation, so that guest
    /// memory can be mapped executable from the start.
    /// </summary>
    bool HasInstructionCacheCoherency { get; }

    /// <summary>
    /// Overwrites memory with zeroes, by cacheable stores (or DC ZVA). A whole number of granules.
    /// </summary>
    void ZeroFrame(Pa start, ulong bytes);

    /// <summary>
    /// <see cref="ZeroFrame"/> and <see cref="IStage2Machine.CleanInvalidateToPoC"/> in one pass over the lines, which
    /// are counted as cleaned. The caller adds the DSB.
    /// </summary>
    void ZeroFrameToPoC(Pa start, ulong bytes);

    /// <summary>
    /// Copies guest memory by cacheable loads and stores. A whole number of granules, of which the PoC and the caches
    /// hold the same.
    /// </summary>
    void CopyFrame(Pa target, Pa source, ulong bytes);
}
