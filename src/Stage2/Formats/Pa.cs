namespace Quietus.Stage2;

/// <summary>
/// A physical address: the output of Stage-2 translation, and where translation tables themselves lie.
/// Up to 48 bits are used.
/// </summary>
public readonly struct Pa
{
    /// <summary>The address, in bytes.</summary>
    public readonly ulong Value;

    public Pa(ulong value) => Value = value;

    public static Pa operator +(Pa start, ulong bytes) => new(start.Value + bytes);

    public static ulong operator -(Pa end, Pa start) => end.Value - start.Value;

    public static bool operator <(Pa left, Pa right) => left.Value < right.Value;

    public static bool operator >(Pa left, Pa right) => left.Value > right.Value;

    public static bool operator <=(Pa left, Pa right) => left.Value <= right.Value;

    public static bool operator >=(Pa left, Pa right) => left.Value >= right.Value;

    /// <summary>Whether the address is a multiple of <paramref name="bytes"/>, a power of two.</summary>
    public bool IsAlignedTo(ulong bytes) => (Value & (bytes - 1)) == 0;
}
