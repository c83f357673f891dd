using Internal.Runtime.CompilerHelpers;

namespace System.Runtime.CompilerServices
{
    /// <summary>
    /// Reinterpreting memory. ILC and the JIT replace every body here: they know the members by name.
    /// </summary>
    public static unsafe class Unsafe
    {
        [Intrinsic]
        public static ref T AsRef<T>(void* source) where T : allows ref struct => ref Replaced<T>();

        [Intrinsic]
        public static ref T AsRef<T>(scoped ref readonly T source) where T : allows ref struct => ref Replaced<T>();

        [Intrinsic]
        public static void* AsPointer<T>(ref readonly T value) where T : allows ref struct => null;

        [Intrinsic]
        public static ref TTo As<TFrom, TTo>(ref TFrom source)
            where TFrom : allows ref struct
            where TTo : allows ref struct => ref Replaced<TTo>();

        [Intrinsic]
        public static ref T Add<T>(ref T source, int elements) where T : allows ref struct => ref Replaced<T>();

        [Intrinsic]
        public static ref T Add<T>(ref T source, nint elements) where T : allows ref struct => ref Replaced<T>();

        [Intrinsic]
        public static ref T Add<T>(ref T source, nuint elements) where T : allows ref struct => ref Replaced<T>();

        [Intrinsic]
        public static int SizeOf<T>() where T : allows ref struct => 0;

        [Intrinsic]
        public static T ReadUnaligned<T>(void* source) where T : allows ref struct => Replaced<T>();

        [Intrinsic]
        public static T ReadUnaligned<T>(ref readonly byte source) where T : allows ref struct => Replaced<T>();

        [Intrinsic]
        public static void WriteUnaligned<T>(void* destination, T value) where T : allows ref struct
        {
        }

        [Intrinsic]
        public static void WriteUnaligned<T>(ref byte destination, T value) where T : allows ref struct
        {
        }

        [Intrinsic]
        public static ref T NullRef<T>() where T : allows ref struct => ref Replaced<T>();

        [Intrinsic]
        public static void SkipInit<T>(out T value) where T : allows ref struct => value = default!;

        private static ref T Replaced<T>() where T : allows ref struct
        {
            ThrowHelpers.ThrowPlatformNotSupportedException();
            return ref *(T*)null;
        }
    }
}

namespace System.Runtime.InteropServices
{
    using System.Runtime.CompilerServices;

    public static class MemoryMarshal
    {
        [Intrinsic]
        public static ref T GetReference<T>(Span<T> span) => ref span.reference;

        [Intrinsic]
        public static ref T GetReference<T>(ReadOnlySpan<T> span) => ref span.reference;

        public static Span<T> CreateSpan<T>(scoped ref T reference, int length) =>
            new(ref Unsafe.AsRef(in reference), length);

        /// <summary>The compiler calls it for inline arrays.</summary>
        public static ReadOnlySpan<T> CreateReadOnlySpan<T>(scoped ref readonly T reference, int length) =>
            new(ref Unsafe.AsRef(in reference), length);

        public static Span<byte> AsBytes<T>(Span<T> span) where T : struct =>
            new(ref Unsafe.As<T, byte>(ref span.reference), span.Length * Unsafe.SizeOf<T>());

        public static ReadOnlySpan<byte> AsBytes<T>(ReadOnlySpan<T> span) where T : struct =>
            new(ref Unsafe.As<T, byte>(ref span.reference), span.Length * Unsafe.SizeOf<T>());
    }
}
