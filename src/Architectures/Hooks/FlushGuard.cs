using System.Collections.Generic;
using Quietus.Simulator;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// The one rule that every architecture has: what a core may still reach is neither freed nor changed before the flush
/// is complete. It keeps what may be stale: each page that was unlinked or write-protected, and each table, until an
/// invalidation that covers it has been waited for. It errs on the safe side: whatever was mapped is taken for cached.
/// </summary>
/// <remarks>
/// The rule is written down in: DDI 0406C B3.10.1 (arm), SDM 3C 28.4.3.4 and APM 2, 15.16 (x86), Power ISA 3.0B III
/// 5.10 (tlbie and ptesync), EREF chapter 6 (e500), MIPS64 VZ-ASE, the root TLB (mips).
/// </remarks>
public sealed class FlushGuard : IServerListener
{
    private const ulong Page = 4096;

    private readonly List<string> _violations = [];
    private readonly Dictionary<ulong, ulong> _stalePages = [];
    private readonly HashSet<ulong> _staleTables = [];
    private bool _isIdle;

    /// <summary>What was freed or changed too early, in the order in which it happened.</summary>
    public IReadOnlyList<string> Violations => _violations;

    /// <summary>How often something that could have been a violation was looked at.</summary>
    public long Checks { get; private set; }

    /// <summary>
    /// No core runs the guest any more, and none will before all of it has been invalidated: nothing can be stale.
    /// </summary>
    internal void NoCoreRuns()
    {
        Flushed();
        _isIdle = true;
    }

    /// <summary>A leaf was unlinked, or lost a permission: cores may go on with it.</summary>
    internal void MayBeStale(ulong gpa, ulong frame, ulong bytes)
    {
        for (ulong at = 0; at < bytes && !_isIdle; at += Page)
        {
            _stalePages[frame + at] = gpa + at;
        }
    }

    /// <summary>A table was unlinked: a core's walk may still go through it.</summary>
    internal void TableMayBeStale(ulong table)
    {
        if (!_isIdle)
        {
            _staleTables.Add(table);
        }
    }

    /// <summary>Every core has dropped everything of the guest.</summary>
    internal void Flushed()
    {
        _stalePages.Clear();
        _staleTables.Clear();
    }

    /// <summary>Every core has dropped what translates a range.</summary>
    internal void Flushed(ulong gpa, ulong bytes)
    {
        List<ulong> gone = [];
        foreach ((ulong frame, ulong at) in _stalePages)
        {
            if (at >= gpa && at < gpa + bytes)
            {
                gone.Add(frame);
            }
        }

        gone.ForEach(frame => _stalePages.Remove(frame));
    }

    /// <summary>A table is given back.</summary>
    internal void FreesTable(ulong table)
    {
        Checks++;
        if (_staleTables.Remove(table))
        {
            _violations.Add($"the table {table:x} is freed before the flush is complete");
        }
    }

    /// <summary>The host has made its change, of which the hook was told.</summary>
    internal void HostChanged()
    {
        Checks++;
        if (_stalePages.Count != 0)
        {
            _violations.Add($"the host changes memory while {_stalePages.Count} pages of it may be cached");
            _stalePages.Clear();
        }
    }

    /// <inheritdoc/>
    public void FreedPage(Pa frame, ulong bytes)
    {
        Checks++;
        for (ulong at = 0; at < bytes && _stalePages.Count != 0; at += Page)
        {
            if (_stalePages.Remove(frame.Value + at, out ulong gpa))
            {
                _violations.Add($"the frame {frame.Value + at:x} of {gpa:x} is freed before the flush is complete");
            }
        }
    }

    /// <inheritdoc/>
    public void TookPage(HostProcess process, Pa frame, ulong bytes, bool isZeroed)
    {
    }

    /// <inheritdoc/>
    public void Created(SimulatedVm vm)
    {
    }

    /// <inheritdoc/>
    public void BeginsCall(SimulatedVm vm)
    {
    }

    /// <inheritdoc/>
    public void EndsCall(SimulatedVm vm)
    {
    }
}
