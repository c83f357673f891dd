using System.Collections.Generic;

namespace Quietus.Architectures;

/// <summary>
/// What a Power hook owes: a few pages, flushed one by one with one wait for all, or more, flushed by one tlbie for the
/// whole LPID. Linux 5.5 flushes each page where it unlinks it, and waits for each.
/// </summary>
internal sealed class PendingFlush(HookMeter meter, FlushGuard? guard)
{
    /// <summary>Beyond it the refills of the LPID cost less than the broadcasts; the same bound as arm64's.</summary>
    private const int MostPages = 8;

    private readonly List<(ulong Gpa, ulong Bytes)> _pages = [];
    private bool _overflowed;

    /// <summary>tlbie for one page, with the ptesync before and the tlbsync and ptesync after (book III,
    /// 5.10.1).</summary>
    internal void Now(ulong gpa, ulong bytes)
    {
        meter.Add(HookOperation.FlushPage);
        meter.Add(HookOperation.FlushWait);
        guard?.Flushed(gpa, bytes);
    }

    internal void Owe(ulong gpa, ulong bytes)
    {
        _overflowed |= _pages.Count == MostPages;
        if (!_overflowed)
        {
            _pages.Add((gpa, bytes));
        }
    }

    internal void Pay()
    {
        if (_overflowed || _pages.Count == 0)
        {
            meter.Add(HookOperation.FlushGuest);
            guard?.Flushed();
        }
        else
        {
            meter.Add(HookOperation.FlushPage, _pages.Count);
            _pages.ForEach(page => guard?.Flushed(page.Gpa, page.Bytes));
        }

        meter.Add(HookOperation.FlushWait);
        _pages.Clear();
        _overflowed = false;
    }
}
