namespace System;

// The primitive types. Each is its own single field, as ECMA-335 II.14.4.1 asks; arithmetic on them is the compiler's.

public readonly struct SByte : IEquatable<sbyte>, IComparable<sbyte>
{
    private readonly sbyte value;

    public const sbyte MinValue = -128;
    public const sbyte MaxValue = 127;

    public bool Equals(sbyte other) => value == other;

    public int CompareTo(sbyte other) => value < other ? -1 : value > other ? 1 : 0;
}

public readonly struct Byte : IEquatable<byte>, IComparable<byte>
{
    private readonly byte value;

    public const byte MinValue = 0;
    public const byte MaxValue = 255;

    public bool Equals(byte other) => value == other;

    public int CompareTo(byte other) => value < other ? -1 : value > other ? 1 : 0;
}

public readonly struct Int16 : IEquatable<short>, IComparable<short>
{
    private readonly short value;

    public const short MinValue = -32768;
    public const short MaxValue = 32767;

    public bool Equals(short other) => value == other;

    public int CompareTo(short other) => value < other ? -1 : value > other ? 1 : 0;
}

public readonly struct UInt16 : IEquatable<ushort>, IComparable<ushort>
{
    private readonly ushort value;

    public const ushort MinValue = 0;
    public const ushort MaxValue = 65535;

    public bool Equals(ushort other) => value == other;

    public int CompareTo(ushort other) => value < other ? -1 : value > other ? 1 : 0;
}

public readonly struct Int32 : IEquatable<int>, IComparable<int>
{
    private readonly int value;

    public const int MinValue = -2147483648;
    public const int MaxValue = 2147483647;

    public bool Equals(int other) => value == other;

    public int CompareTo(int other) => value < other ? -1 : value > other ? 1 : 0;
}

public readonly struct UInt32 : IEquatable<uint>, IComparable<uint>
{
    private readonly uint value;

    public const uint MinValue = 0;
    public const uint MaxValue = 4294967295;

    public bool Equals(uint other) => value == other;

    public int CompareTo(uint other) => value < other ? -1 : value > other ? 1 : 0;
}

public readonly struct Int64 : IEquatable<long>, IComparable<long>
{
    private readonly long value;

    public const long MinValue = -9223372036854775808;
    public const long MaxValue = 9223372036854775807;

    public bool Equals(long other) => value == other;

    public int CompareTo(long other) => value < other ? -1 : value > other ? 1 : 0;
}

public readonly struct UInt64 : IEquatable<ulong>, IComparable<ulong>
{
    private readonly ulong value;

    public const ulong MinValue = 0;
    public const ulong MaxValue = 18446744073709551615;

    public bool Equals(ulong other) => value == other;

    public int CompareTo(ulong other) => value < other ? -1 : value > other ? 1 : 0;
}

public readonly struct Boolean : IEquatable<bool>
{
    private readonly bool value;

    public bool Equals(bool other) => value == other;
}

public readonly struct Char : IEquatable<char>
{
    private readonly char value;

    public bool Equals(char other) => value == other;
}

public readonly struct Single
{
    private readonly float value;
}

public readonly struct Double
{
    private readonly double value;
}

public readonly unsafe struct IntPtr : IEquatable<nint>
{
    private readonly void* value;

    public const nint Zero = 0;

    public bool Equals(nint other) => (nint)value == other;
}

public readonly unsafe struct UIntPtr : IEquatable<nuint>
{
    private readonly void* value;

    public const nuint Zero = 0;

    public bool Equals(nuint other) => (nuint)value == other;
}
