namespace Quietus.Wire;

/// <summary>
/// Which characters of a text that comes from elsewhere (a guest, QEMU, a path) may reach a person's terminal. Both
/// ends of the wire ask here: the monitor in text mode, the command line in every message.
/// </summary>
public static class SafeText
{
    /// <summary>What stands for a character that may not.</summary>
    public const byte Replacement = (byte)'?';

    /// <summary>
    /// Whether a character prints something and does nothing else: no C0 or C1 control (ECMA-48), no DEL, no mark that
    /// turns the direction of the text around it, no line or paragraph separator.
    /// </summary>
    /// <param name="character">A Unicode code point, or a UTF-16 unit.</param>
    public static bool IsSafe(uint character) =>
        character >= 0x20
        && character is not (>= 0x7F and <= 0x9F)
        && character is not (>= 0x200E and <= 0x200F or >= 0x2028 and <= 0x202E or >= 0x2066 and <= 0x2069);

    /// <summary>
    /// A byte of text whose encoding is not known. Bytes of 0x80 and above are not safe: alone, those up to 0x9F are
    /// controls for a terminal of 8 bits.
    /// </summary>
    public static bool IsSafeByte(byte value) => value < 0x80 && IsSafe(value);
}
