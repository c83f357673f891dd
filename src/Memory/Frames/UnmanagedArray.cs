using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Quietus.Memory;

/// <summary>
/// An array in memory that the caller handed in and keeps alive: at EL2 a piece of the boot allocator's
/// memory, in a process a piece of native memory. It makes the structures that hold it blittable, which a
/// <see cref="System.Span{T}"/> would not. Copies share the elements.
/// </summary>
/// <remarks>
/// The only unsafe code of this layer. Invariant: the first element's address leads to as many elements as the
/// constructor was told, for as long as the array is used; indices are checked against <see cref="Count"/>, but
/// for <see cref="At"/>, whose callers state why theirs is inside.
/// </remarks>
public readonly unsafe struct UnmanagedArray<T>
    where T : unmanaged
{
    private readonly T* _first;
    private readonly int _count;

    /// <param name="address">Address of the first element; aligned for <typeparamref name="T"/>.</param>
    /// <param name="count">Number of elements that lie there.</param>
    public UnmanagedArray(nint address, int count)
    {
        _first = (T*)address;
        _count = count;
    }

    /// <summary>Number of elements.</summary>
    public int Count => _count;

    /// <summary>The element at an index; an index outside is a defect of this layer and panics.</summary>
    public ref T this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref MemoryMarshal.CreateSpan(ref Unsafe.AsRef<T>(_first), _count)[index];
    }

    /// <summary>
    /// The element at an index that an invariant of the caller's keeps inside: no check, for the paths on which
    /// each instruction counts.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ref T At(int index) => ref Unsafe.AsRef<T>(_first + (uint)index);

    /// <summary>A part of the array; the caller keeps it inside.</summary>
    internal UnmanagedArray<T> Slice(int start, int count) => new((nint)(_first + (uint)start), count);
}
