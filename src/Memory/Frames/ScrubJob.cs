using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// One dirty chunk on its way to being clean, in steps, so that a PE can do it while it is idle and leave off at once:
/// zero a part, clean the part to the PoC where the next owner may have its caches off, go on; then the chunk is ready.
/// A death never waits for it.
/// </summary>
/// <remarks>Invariant: while the job is active its chunk is on no list, and this job's alone.</remarks>
public struct ScrubJob
{
    /// <summary>What one step does: 16 pages of 4 KB.</summary>
    public const ulong StepBytes = 64 * 1024;

    private Pa _chunk;
    private ulong _done;

    /// <summary>Whether a chunk is in hand.</summary>
    public bool IsActive { readonly get; private set; }

    /// <summary>Takes a dirty chunk, if there is one.</summary>
    public bool TryBegin<TMachine>(ref TMachine machine)
        where TMachine : struct, IMemoryMachine
    {
        _done = 0;
        IsActive = machine.Pool.BeginScrub(out _chunk) == PoolResult.Ok;
        return IsActive;
    }

    /// <summary>First half of a step: overwrites the next part with zeroes.</summary>
    public readonly void Zero<TMachine>(ref TMachine machine)
        where TMachine : struct, IMemoryMachine =>
        machine.ZeroFrame(_chunk + _done, StepBytes);

    /// <summary>
    /// Second half: cleans and invalidates the part, unless FEAT_S2FWB makes every guest's accesses cacheable. After
    /// the last part the chunk goes to the pool, ready; true then.
    /// </summary>
    public bool Clean<TMachine>(ref TMachine machine)
        where TMachine : struct, IMemoryMachine
    {
        if (!machine.HasForcedWriteBack)
        {
            machine.CleanInvalidateToPoC(_chunk + _done, StepBytes);
        }

        _done += StepBytes;
        if (_done != FramePool.ChunkBytes)
        {
            return false;
        }

        // The zeroes are at the PoC, or seen by every PE, before a VM can take the chunk.
        machine.DsbFullSystem();
        IsActive = false;
        machine.Pool.EndScrub(_chunk);
        return true;
    }

    /// <summary>Gives the chunk back as dirty as it was: the PE is wanted elsewhere.</summary>
    public void Abandon<TMachine>(ref TMachine machine)
        where TMachine : struct, IMemoryMachine
    {
        if (IsActive)
        {
            IsActive = false;
            machine.Pool.AbandonScrub(_chunk);
        }
    }
}
