using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// Gives each unlinked leaf's frame back in the same step, as the eager policies do: the leaf's own
/// invalidation is complete, or no PE can use it. Frames of a host's are left alone.
/// </summary>
internal struct FreeingSink<TFormat, TMachine> : ILeafSink
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private TMachine _machine;

    internal FreeingSink(TMachine machine) => _machine = machine;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Unlinked(Ipa ipa, Pa output, int level)
    {
        if (level == Stage2Geometry.LastLevel)
        {
            _machine.Pool.FreeLeaf(ref _machine.Frames, output, TFormat.GranuleShift);
        }
        else
        {
            _machine.Pool.FreeWholeIfOwned(ref _machine.Frames, output);
        }
    }
}

/// <summary>
/// Keeps the leaves of one batch until what they owe is settled, and frees them only then. A batch is at most
/// <see cref="BatchEntries"/> table entries, one level 3 table of the 4K granule.
/// </summary>
/// <remarks>
/// The level sits in the low bits of the page-aligned address. There is room beyond the batch for the run of
/// contiguous entries that an engine call may finish (128 with the 16K granule).
/// </remarks>
internal struct DeferredFrames : ILeafSink
{
    /// <summary>Table entries that one batch examines.</summary>
    internal const uint BatchEntries = 512;

    private const int Capacity = (int)BatchEntries + 128;
    private const ulong LevelMask = 3;

    private LeafArray _leaves;
    private int _count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Unlinked(Ipa ipa, Pa output, int level)
    {
        int at = _count;
        _leaves[at] = output.Value | (uint)level;
        _count = at + 1;
    }

    /// <summary>Frees the batch. Its debt is settled.</summary>
    internal void Free<TFormat, TMachine>(ref TMachine machine)
        where TFormat : struct, IDescriptorFormat
        where TMachine : struct, IMemoryMachine
    {
        int count = _count;
        ref FramePool pool = ref machine.Pool;
        ref VmFrames frames = ref machine.Frames;
        for (int i = 0; i < count; i++)
        {
            ulong leaf = _leaves[i];
            var output = new Pa(leaf & ~LevelMask);
            if ((leaf & LevelMask) == Stage2Geometry.LastLevel)
            {
                pool.FreeLeaf(ref frames, output, TFormat.GranuleShift);
            }
            else
            {
                pool.FreeWholeIfOwned(ref frames, output);
            }
        }

        _count = 0;
    }

    [InlineArray(Capacity)]
    private struct LeafArray
    {
        private ulong _first;
    }
}
