using System;
using System.Numerics;

namespace Quietus.Hypervisor.Randomness;

/// <summary>
/// The ChaCha20 block function (RFC 8439, 2.3): 64 bytes that nothing without the key can tell from chance.
/// </summary>
public static class ChaCha20
{
    /// <summary>Words of 32 bits in a key.</summary>
    public const int KeyWords = 8;

    /// <summary>Words of 32 bits in a block.</summary>
    public const int BlockWords = 16;

    /// <summary>Works one block out.</summary>
    /// <param name="key">8 words.</param>
    /// <param name="counter">The block's number.</param>
    /// <param name="nonce">3 words.</param>
    /// <param name="block">16 words of output.</param>
    public static void Block(
        scoped ReadOnlySpan<uint> key, uint counter, scoped ReadOnlySpan<uint> nonce, scoped Span<uint> block)
    {
        Span<uint> input = stackalloc uint[BlockWords];
        input[0] = 0x6170_7865; // "expa" "nd 3" "2-by" "te k"
        input[1] = 0x3320_646E;
        input[2] = 0x7962_2D32;
        input[3] = 0x6B20_6574;
        key.Slice(0, KeyWords).CopyTo(input.Slice(4));
        input[12] = counter;
        nonce.Slice(0, 3).CopyTo(input.Slice(13));
        input.CopyTo(block);
        for (int round = 0; round < 10; round++)
        {
            Quarter(block, 0, 4, 8, 12);
            Quarter(block, 1, 5, 9, 13);
            Quarter(block, 2, 6, 10, 14);
            Quarter(block, 3, 7, 11, 15);
            Quarter(block, 0, 5, 10, 15);
            Quarter(block, 1, 6, 11, 12);
            Quarter(block, 2, 7, 8, 13);
            Quarter(block, 3, 4, 9, 14);
        }

        for (int i = 0; i < BlockWords; i++)
        {
            block[i] += input[i];
        }
    }

    private static void Quarter(scoped Span<uint> s, int a, int b, int c, int d)
    {
        s[a] += s[b];
        s[d] = BitOperations.RotateLeft(s[d] ^ s[a], 16);
        s[c] += s[d];
        s[b] = BitOperations.RotateLeft(s[b] ^ s[c], 12);
        s[a] += s[b];
        s[d] = BitOperations.RotateLeft(s[d] ^ s[a], 8);
        s[c] += s[d];
        s[b] = BitOperations.RotateLeft(s[b] ^ s[c], 7);
    }
}
