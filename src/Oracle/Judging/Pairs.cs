namespace Quietus.Oracle.Judging;

/// <summary>
/// On a machine where a TLBI and its DSB may complete early (CVE-2025-10263): the PEs that one such pair has covered,
/// where the next one is sure. Invariant: of a PE in it, nothing was cached since that pair was issued.
/// </summary>
internal struct Pairs
{
    private uint _before;
    private uint _now;
    private ulong _at;

    /// <summary>PEs that a pair has covered.</summary>
    public readonly uint Once => _before | _now;

    /// <summary>PEs that a pair has covered whose DSB is the one now.</summary>
    public readonly uint CoveredAt(ulong now) => _at == now ? _now : 0;

    /// <summary>A DSB completes an invalidation: PEs that it is sure to have taken the entry from.</summary>
    /// <param name="pes">PEs that the invalidation reaches.</param>
    /// <param name="refillers">PEs that may have cached the entry since it was issued.</param>
    /// <param name="now">When the DSB completed: two TLBIs before one DSB are one pair.</param>
    public uint Cover(uint pes, uint refillers, ulong now)
    {
        if (_at != now)
        {
            _before |= _now;
            _now = 0;
            _at = now;
        }

        uint sure = pes & _before & ~refillers;
        _now = (_now | pes) & ~refillers;
        _before &= ~refillers;
        return sure;
    }

    /// <summary>A PE enters: what it caches from now on no pair has covered.</summary>
    public void Forget(uint pe)
    {
        _before &= ~pe;
        _now &= ~pe;
    }
}
