using System;

namespace Quietus.Wire;

/// <summary>Why a text is no number.</summary>
public enum NumberError
{
    /// <summary>It is a number.</summary>
    None,

    /// <summary>There is no text at all.</summary>
    Empty,

    /// <summary>A character is neither a digit nor, at the end of a size, a unit.</summary>
    NotANumber,

    /// <summary>The number does not fit into 64 bits.</summary>
    Overflow,
}

/// <summary>Numbers and sizes as a person or a program writes them on a command line. Decimal only.</summary>
public static class Numbers
{
    /// <summary>Reads an unsigned decimal number that takes up the whole text.</summary>
    /// <param name="text">Digits only: no sign, no space, no separator.</param>
    /// <param name="value">The number; 0 when the result is an error.</param>
    public static NumberError TryParse(ReadOnlySpan<byte> text, out ulong value)
    {
        value = 0;
        if (text.Length == 0)
        {
            return NumberError.Empty;
        }

        ulong sum = 0;
        for (int i = 0; i < text.Length; i++)
        {
            uint digit = (uint)text[i] - '0';
            if (digit > 9)
            {
                return NumberError.NotANumber;
            }

            if (sum > (ulong.MaxValue - digit) / 10)
            {
                return NumberError.Overflow;
            }

            sum = (sum * 10) + digit;
        }

        value = sum;
        return NumberError.None;
    }

    /// <summary>
    /// Reads a size in bytes: a decimal number with an optional binary unit K, M, G or T (either case).
    /// </summary>
    /// <param name="text">For example <c>67108864</c>, <c>64M</c> or <c>1G</c>.</param>
    /// <param name="bytes">The size in bytes; 0 when the result is an error.</param>
    public static NumberError TryParseSize(ReadOnlySpan<byte> text, out ulong bytes)
    {
        bytes = 0;
        if (text.Length == 0)
        {
            return NumberError.Empty;
        }

        int shift = ShiftOfUnit(text[text.Length - 1]);
        ReadOnlySpan<byte> digits = shift == 0 ? text : text.Slice(0, text.Length - 1);
        if (digits.Length == 0)
        {
            return NumberError.NotANumber;
        }

        NumberError error = TryParse(digits, out ulong number);
        if (error != NumberError.None)
        {
            return error;
        }

        if (number > ulong.MaxValue >> shift)
        {
            return NumberError.Overflow;
        }

        bytes = number << shift;
        return NumberError.None;
    }

    /// <summary>What is wrong with a number, for people.</summary>
    public static ReadOnlySpan<byte> Describe(NumberError error) => error switch
    {
        NumberError.None => "it is a number"u8,
        NumberError.Empty => "the number is missing"u8,
        NumberError.Overflow => "the number does not fit into 64 bits"u8,
        _ => "it is not a decimal number"u8,
    };

    private static int ShiftOfUnit(byte unit) => unit switch
    {
        (byte)'K' or (byte)'k' => 10,
        (byte)'M' or (byte)'m' => 20,
        (byte)'G' or (byte)'g' => 30,
        (byte)'T' or (byte)'t' => 40,
        _ => 0,
    };
}
