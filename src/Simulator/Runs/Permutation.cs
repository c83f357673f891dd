using System.Numerics;

namespace Quietus.Simulator;

/// <summary>
/// The numbers below a count, each once, in an order drawn from a seed, without memory for them: a linear congruential
/// generator of full period over the next power of two, whose numbers beyond the count are left out.
/// </summary>
internal struct Permutation(ulong count, int seed)
{
    private readonly ulong _mask = BitOperations.RoundUpToPowerOf2(count) - 1;
    private readonly ulong _increment = (((ulong)(uint)seed * 0x9E3779B97F4A7C15) >> 7) | 1;
    private ulong _state = (ulong)(uint)seed;

    internal ulong Next()
    {
        do
        {
            // Full period: the multiplier is 1 modulo 4, the increment odd (Hull and Dobell).
            _state = ((_state * 6364136223846793005) + _increment) & _mask;
        }
        while (_state >= count);
        return _state;
    }
}
