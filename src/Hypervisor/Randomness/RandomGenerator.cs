using System;
using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Randomness;

/// <summary>
/// A generator of random bytes that erases its key: each call replaces the key by bytes of its own output that are
/// given to nothing else, so that a key that becomes known tells nothing of what was given before (D. J. Bernstein,
/// "Fast-key-erasure random-number generators", 2017). One for the machine, and one for each VM.
/// </summary>
/// <remarks>
/// Invariant: before the first <see cref="Absorb"/> it gives nothing. What it gives is as good as the seed: 32 bytes
/// from a real source make it good for ever. Zeroed memory is a generator without a seed. Callers bring a lock of their
/// own.
/// </remarks>
public struct RandomGenerator
{
    /// <summary>Bytes of a seed that fills the key.</summary>
    public const int SeedBytes = ChaCha20.KeyWords * 4;

    private Key _key;

    /// <summary>Whether a seed has come.</summary>
    public bool IsSeeded { get; private set; }

    /// <summary>Mixes a seed in, of any length; what was there before stays in the mix.</summary>
    public void Absorb(scoped ReadOnlySpan<byte> seed)
    {
        Span<uint> block = stackalloc uint[ChaCha20.BlockWords];
        for (int at = 0; at < seed.Length; at += SeedBytes)
        {
            for (int i = 0; i < SeedBytes && at + i < seed.Length; i++)
            {
                _key[i / 4] ^= (uint)seed[at + i] << (i % 4 * 8);
            }

            NextBlock(0, block);
            block.Slice(0, ChaCha20.KeyWords).CopyTo(_key);
            IsSeeded = true;
        }
    }

    /// <summary>Fills all of it with random bytes. False, and nothing written, when no seed has come.</summary>
    public bool TryFill(scoped Span<byte> destination)
    {
        if (!IsSeeded)
        {
            return false;
        }

        Span<uint> block = stackalloc uint[ChaCha20.BlockWords];
        Span<uint> next = stackalloc uint[ChaCha20.KeyWords];
        NextBlock(0, block);
        block.Slice(0, ChaCha20.KeyWords).CopyTo(next);
        uint counter = 1;
        int word = ChaCha20.KeyWords;
        for (int i = 0; i < destination.Length; i++)
        {
            if (word == ChaCha20.BlockWords)
            {
                NextBlock(counter++, block);
                word = 0;
            }

            destination[i] = (byte)(block[word] >> (i % 4 * 8));
            word += i % 4 == 3 ? 1 : 0;
        }

        next.CopyTo(_key);
        return true;
    }

    private readonly void NextBlock(uint counter, scoped Span<uint> block)
    {
        Span<uint> nonce = stackalloc uint[3];
        nonce.Clear();
        ChaCha20.Block(_key, counter, nonce, block);
    }

    [InlineArray(ChaCha20.KeyWords)]
    private struct Key
    {
        private uint _first;
    }
}
