namespace Quietus.Filler.Machine;

/// <summary>A small generator (xorshift64*), the same numbers in every run.</summary>
internal struct RandomNumbers(ulong seed)
{
    private ulong _state = seed | 1;

    internal ulong Next()
    {
        _state ^= _state >> 12;
        _state ^= _state << 25;
        _state ^= _state >> 27;
        return _state * 0x2545_F491_4F6C_DD1D;
    }
}
