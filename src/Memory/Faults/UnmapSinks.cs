using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// Gives each unlinked leaf's frame back in the same step: its own invalidation is complete, or no PE can use it.
/// Frames of a host's are left alone. Chunks that become empty wait for <see cref="FramePool.ReturnEmptied"/>.
/// </summary>
internal struct FreeingSink<TFormat, TMachine> : ILeafSink
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    private TMachine _machine;

    internal FreeingSink(TMachine machine) => _machine = machine;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Unlinked(Ipa ipa, Pa output, int level, ulong leaves)
    {
        if (level != Stage2Geometry.LastLevel)
        {
            // Blocks are told one by one.
            _machine.Pool.FreeBlock(ref _machine.Frames, output);
        }
        else if (leaves == 1)
        {
            _machine.Pool.FreeLeaf(ref _machine.Frames, output, TFormat.GranuleShift);
        }
        else
        {
            _machine.Pool.FreeRun(ref _machine.Frames, output, leaves);
        }
    }
}
