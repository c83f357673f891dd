using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Internal.Runtime.CompilerHelpers;

namespace System;

/// <summary>
/// A bounded window onto memory. An index outside it ends in the image's panic, never in a stray access.
/// </summary>
public readonly ref struct Span<T>
{
    internal readonly ref T reference;
    private readonly int length;

    public unsafe Span(void* pointer, int length)
    {
        reference = ref Unsafe.AsRef<T>(pointer);
        this.length = length;
    }

    /// <summary>Named by the compiler for u8 literals; there are no arrays to make one from.</summary>
    public Span(T[]? array, int start, int length)
    {
        reference = ref Unsafe.NullRef<T>();
        this.length = 0;
        ThrowHelpers.ThrowPlatformNotSupportedException();
    }

    public Span(ref T reference)
    {
        this.reference = ref reference;
        length = 1;
    }

    internal Span(ref T reference, int length)
    {
        this.reference = ref reference;
        this.length = length;
    }

    public static Span<T> Empty => default;

    public int Length
    {
        [Intrinsic]
        get => length;
    }

    public bool IsEmpty => length == 0;

    public ref T this[int index]
    {
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((uint)index >= (uint)length)
            {
                ThrowHelpers.ThrowIndexOutOfRangeException();
            }

            return ref Unsafe.Add(ref reference, index);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> Slice(int start)
    {
        if ((uint)start > (uint)length)
        {
            ThrowHelpers.ThrowIndexOutOfRangeException();
        }

        return new Span<T>(ref Unsafe.Add(ref reference, start), length - start);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> Slice(int start, int count)
    {
        if ((uint)start > (uint)length || (uint)count > (uint)(length - start))
        {
            ThrowHelpers.ThrowIndexOutOfRangeException();
        }

        return new Span<T>(ref Unsafe.Add(ref reference, start), count);
    }

    public void Clear() => Fill(default!);

    public void Fill(T value)
    {
        for (int i = 0; i < length; i++)
        {
            Unsafe.Add(ref reference, i) = value;
        }
    }

    public void CopyTo(Span<T> destination) => ((ReadOnlySpan<T>)this).CopyTo(destination);

    public bool TryCopyTo(Span<T> destination) => ((ReadOnlySpan<T>)this).TryCopyTo(destination);

    public Enumerator GetEnumerator() => new(this);

    public static implicit operator ReadOnlySpan<T>(Span<T> span) => new(ref span.reference, span.length);

    public ref struct Enumerator
    {
        private readonly Span<T> span;
        private int index;

        internal Enumerator(Span<T> span)
        {
            this.span = span;
            index = -1;
        }

        public readonly ref T Current => ref span[index];

        public bool MoveNext() => ++index < span.length;
    }
}

/// <summary>A bounded window onto memory that is only read.</summary>
public readonly ref struct ReadOnlySpan<T>
{
    internal readonly ref T reference;
    private readonly int length;

    public unsafe ReadOnlySpan(void* pointer, int length)
    {
        reference = ref Unsafe.AsRef<T>(pointer);
        this.length = length;
    }

    /// <summary>Named by the compiler for u8 literals; there are no arrays to make one from.</summary>
    public ReadOnlySpan(T[]? array, int start, int length)
    {
        reference = ref Unsafe.NullRef<T>();
        this.length = 0;
        ThrowHelpers.ThrowPlatformNotSupportedException();
    }

    public ReadOnlySpan(ref readonly T reference)
    {
        this.reference = ref Unsafe.AsRef(in reference);
        length = 1;
    }

    internal ReadOnlySpan(ref T reference, int length)
    {
        this.reference = ref reference;
        this.length = length;
    }

    public static ReadOnlySpan<T> Empty => default;

    public int Length
    {
        [Intrinsic]
        get => length;
    }

    public bool IsEmpty => length == 0;

    public ref readonly T this[int index]
    {
        [Intrinsic, MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((uint)index >= (uint)length)
            {
                ThrowHelpers.ThrowIndexOutOfRangeException();
            }

            return ref Unsafe.Add(ref reference, index);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<T> Slice(int start)
    {
        if ((uint)start > (uint)length)
        {
            ThrowHelpers.ThrowIndexOutOfRangeException();
        }

        return new ReadOnlySpan<T>(ref Unsafe.Add(ref reference, start), length - start);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<T> Slice(int start, int count)
    {
        if ((uint)start > (uint)length || (uint)count > (uint)(length - start))
        {
            ThrowHelpers.ThrowIndexOutOfRangeException();
        }

        return new ReadOnlySpan<T>(ref Unsafe.Add(ref reference, start), count);
    }

    public void CopyTo(Span<T> destination)
    {
        if (!TryCopyTo(destination))
        {
            ThrowHelpers.ThrowIndexOutOfRangeException();
        }
    }

    public unsafe bool TryCopyTo(Span<T> destination)
    {
        if (length > destination.Length)
        {
            return false;
        }

        SpanHelpers.Memmove(
            ref Unsafe.As<T, byte>(ref destination.reference),
            ref Unsafe.As<T, byte>(ref reference),
            (nuint)length * (nuint)Unsafe.SizeOf<T>());
        return true;
    }

    public Enumerator GetEnumerator() => new(this);

    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<T> span;
        private int index;

        internal Enumerator(ReadOnlySpan<T> span)
        {
            this.span = span;
            index = -1;
        }

        public readonly ref readonly T Current => ref span[index];

        public bool MoveNext() => ++index < span.length;
    }
}

/// <summary>Comparisons of spans, by the names that the framework gives them.</summary>
public static class MemoryExtensions
{
    public static bool SequenceEqual(this ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        if (left.Length != right.Length)
        {
            return false;
        }

        for (int i = 0; i < left.Length; i++)
        {
            if (left[i] != right[i])
            {
                return false;
            }
        }

        return true;
    }

    public static bool SequenceEqual(this Span<byte> left, ReadOnlySpan<byte> right) =>
        SequenceEqual((ReadOnlySpan<byte>)left, right);

    public static bool StartsWith(this ReadOnlySpan<byte> span, ReadOnlySpan<byte> prefix) =>
        span.Length >= prefix.Length && SequenceEqual(span.Slice(0, prefix.Length), prefix);

    public static int IndexOf(this ReadOnlySpan<byte> span, byte value)
    {
        for (int i = 0; i < span.Length; i++)
        {
            if (span[i] == value)
            {
                return i;
            }
        }

        return -1;
    }

    public static int IndexOf(this Span<byte> span, byte value) => IndexOf((ReadOnlySpan<byte>)span, value);
}
