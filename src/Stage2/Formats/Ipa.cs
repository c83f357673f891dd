namespace Quietus.Stage2;

/// <summary>
/// An intermediate physical address: what a guest takes for physical, and the input of Stage-2 translation.
/// Up to 48 bits are used; whether an address lies inside a table's input size is the table's to check.
/// </summary>
public readonly struct Ipa
{
    /// <summary>The address, in bytes.</summary>
    public readonly ulong Value;

    public Ipa(ulong value) => Value = value;

    public static Ipa operator +(Ipa start, ulong bytes) => new(start.Value + bytes);

    public static ulong operator -(Ipa end, Ipa start) => end.Value - start.Value;

    public static bool operator <(Ipa left, Ipa right) => left.Value < right.Value;

    public static bool operator >(Ipa left, Ipa right) => left.Value > right.Value;

    public static bool operator <=(Ipa left, Ipa right) => left.Value <= right.Value;

    public static bool operator >=(Ipa left, Ipa right) => left.Value >= right.Value;

    /// <summary>Whether the address is a multiple of <paramref name="bytes"/>, a power of two.</summary>
    public bool IsAlignedTo(ulong bytes) => (Value & (bytes - 1)) == 0;
}
