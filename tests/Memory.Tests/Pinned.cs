using System;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Quietus.Memory.Tests;

/// <summary>
/// Memory that neither moves nor goes, for the structures that the hypervisor would place by hand. An
/// <see cref="UnmanagedArray{T}"/> keeps nothing alive, so these stay until the process ends.
/// </summary>
internal sealed class Pinned<T>
    where T : unmanaged
{
    private static readonly ConcurrentBag<T[]> s_kept = [];

    private readonly T[] _elements;

    internal Pinned(int count)
    {
        _elements = GC.AllocateArray<T>(count, pinned: true);
        s_kept.Add(_elements);
    }

    internal UnmanagedArray<T> Array => new(Marshal.UnsafeAddrOfPinnedArrayElement(_elements, 0), _elements.Length);
}
