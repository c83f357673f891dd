using System.Runtime.CompilerServices;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Oracle.Machines;

/// <summary>
/// What the engine keeps to itself. It is read for one purpose: to tell whether two states of a program are the same.
/// </summary>
internal static class EngineInternals
{
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_clean")]
    internal static extern ref ChunkList CleanChunks(ref FramePool pool);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_dirty")]
    internal static extern ref ChunkList DirtyChunks(ref FramePool pool);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_next")]
    internal static extern ref int NextNumber(ref VmidAllocator vmids);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_generation")]
    internal static extern ref ulong Generation(ref VmidAllocator vmids);
}

/// <summary>What a VM's memory keeps to itself.</summary>
internal static class EngineInternals<TFormat, TMachine>
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, IMemoryMachine
{
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_table")]
    internal static extern ref PageTable<TFormat, TMachine> Table(ref GuestMemory<TFormat, TMachine> memory);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_invalidation")]
    internal static extern ref InvalidationState Invalidation(ref GuestMemory<TFormat, TMachine> memory);
}
