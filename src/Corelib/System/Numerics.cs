using System.Runtime.CompilerServices;

namespace System.Numerics
{
    /// <summary>Bit counting. The JIT turns the intrinsic ones into CLZ, RBIT+CLZ and CNT.</summary>
    public static class BitOperations
    {
        [Intrinsic]
        public static int LeadingZeroCount(uint value)
        {
            int count = 32;
            for (; value != 0; value >>= 1)
            {
                count--;
            }

            return count;
        }

        [Intrinsic]
        public static int LeadingZeroCount(ulong value)
        {
            int count = 64;
            for (; value != 0; value >>= 1)
            {
                count--;
            }

            return count;
        }

        [Intrinsic]
        public static int TrailingZeroCount(int value) => TrailingZeroCount((uint)value);

        [Intrinsic]
        public static int TrailingZeroCount(uint value) => value == 0 ? 32 : 31 - LeadingZeroCount(value & (0 - value));

        [Intrinsic]
        public static int TrailingZeroCount(long value) => TrailingZeroCount((ulong)value);

        [Intrinsic]
        public static int TrailingZeroCount(ulong value) =>
            value == 0 ? 64 : 63 - LeadingZeroCount(value & (0 - value));

        [Intrinsic]
        public static int PopCount(uint value) => PopCount((ulong)value);

        [Intrinsic]
        public static int PopCount(ulong value)
        {
            int count = 0;
            for (; value != 0; value &= value - 1)
            {
                count++;
            }

            return count;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool IsPow2(uint value) => (value & (value - 1)) == 0 && value != 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool IsPow2(ulong value) => (value & (value - 1)) == 0 && value != 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool IsPow2(int value) => (value & (value - 1)) == 0 && value > 0;

        [Intrinsic]
        public static uint RotateLeft(uint value, int offset) => (value << offset) | (value >> (32 - offset));

        [Intrinsic]
        public static ulong RotateLeft(ulong value, int offset) => (value << offset) | (value >> (64 - offset));

        public static uint RoundUpToPowerOf2(uint value) =>
            value <= 1 ? value : 1u << (32 - LeadingZeroCount(value - 1));
    }
}

namespace System.Buffers.Binary
{
    /// <summary>
    /// Numbers in bytes of a stated order. The machine is little-endian; every access may be unaligned.
    /// </summary>
    public static class BinaryPrimitives
    {
        public static ushort ReverseEndianness(ushort value) => (ushort)((value >> 8) | (value << 8));

        public static uint ReverseEndianness(uint value) =>
            (BitOperations_RotateRight8(value) & 0xFF00FF00) | (BitOperations_RotateLeft8(value) & 0x00FF00FF);

        public static ulong ReverseEndianness(ulong value) =>
            ((ulong)ReverseEndianness((uint)value) << 32) | ReverseEndianness((uint)(value >> 32));

        public static ushort ReadUInt16LittleEndian(ReadOnlySpan<byte> source) => Read<ushort>(source);

        public static uint ReadUInt32LittleEndian(ReadOnlySpan<byte> source) => Read<uint>(source);

        public static ulong ReadUInt64LittleEndian(ReadOnlySpan<byte> source) => Read<ulong>(source);

        public static ushort ReadUInt16BigEndian(ReadOnlySpan<byte> source) => ReverseEndianness(Read<ushort>(source));

        public static uint ReadUInt32BigEndian(ReadOnlySpan<byte> source) => ReverseEndianness(Read<uint>(source));

        public static ulong ReadUInt64BigEndian(ReadOnlySpan<byte> source) => ReverseEndianness(Read<ulong>(source));

        public static void WriteUInt16LittleEndian(Span<byte> destination, ushort value) => Write(destination, value);

        public static void WriteUInt32LittleEndian(Span<byte> destination, uint value) => Write(destination, value);

        public static void WriteUInt64LittleEndian(Span<byte> destination, ulong value) => Write(destination, value);

        public static void WriteUInt16BigEndian(Span<byte> destination, ushort value) =>
            Write(destination, ReverseEndianness(value));

        public static void WriteUInt32BigEndian(Span<byte> destination, uint value) =>
            Write(destination, ReverseEndianness(value));

        public static void WriteUInt64BigEndian(Span<byte> destination, ulong value) =>
            Write(destination, ReverseEndianness(value));

        private static uint BitOperations_RotateRight8(uint value) => (value >> 8) | (value << 24);

        private static uint BitOperations_RotateLeft8(uint value) => (value << 8) | (value >> 24);

        private static T Read<T>(ReadOnlySpan<byte> source) where T : unmanaged =>
            Unsafe.ReadUnaligned<T>(ref source.Slice(0, Unsafe.SizeOf<T>()).reference);

        private static void Write<T>(Span<byte> destination, T value) where T : unmanaged =>
            Unsafe.WriteUnaligned(ref destination.Slice(0, Unsafe.SizeOf<T>()).reference, value);
    }
}

namespace System
{
    public static class Math
    {
        public static int Min(int left, int right) => left < right ? left : right;

        public static uint Min(uint left, uint right) => left < right ? left : right;

        public static ulong Min(ulong left, ulong right) => left < right ? left : right;

        public static int Max(int left, int right) => left > right ? left : right;

        public static uint Max(uint left, uint right) => left > right ? left : right;

        public static ulong Max(ulong left, ulong right) => left > right ? left : right;
    }
}
