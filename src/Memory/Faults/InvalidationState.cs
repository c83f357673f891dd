using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// Keeps faults and invalidations apart. A fault reads the sequence, looks its page up without the memory
/// lock, takes the lock, and asks <see cref="MustRetry"/>: when an invalidation that covers the page is in
/// progress, or one has ended since, the page it looked up may be gone, and the fault is dropped.
/// </summary>
/// <remarks>
/// Linux 5.5 compares the sequence alone and retries while any invalidation is in progress; here the span of
/// those in progress is kept too, so that faults elsewhere go on (as Linux does since 5.12).
/// Locking: <see cref="Begin"/>, <see cref="End"/> and <see cref="MustRetry"/> under the VM's memory lock;
/// <see cref="Sequence"/> without.
/// </remarks>
public struct InvalidationState
{
    private ulong _sequence;
    private ulong _start;
    private ulong _end;
    private uint _inProgress;

    /// <summary>Invalidations that have ended. Read it before looking a page up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Sequence() => Volatile.Read(ref _sequence);

    /// <summary>Invalidations that have begun and not ended.</summary>
    public readonly uint InProgress => _inProgress;

    /// <summary>An invalidation of a range begins. Several may overlap; their common span is kept.</summary>
    public void Begin(Ipa start, Ipa end)
    {
        if (_inProgress++ == 0)
        {
            _start = start.Value;
            _end = end.Value;
            return;
        }

        _start = start.Value < _start ? start.Value : _start;
        _end = end.Value > _end ? end.Value : _end;
    }

    /// <summary>One invalidation has ended. False: none was in progress, and nothing changed.</summary>
    public bool End()
    {
        if (_inProgress == 0)
        {
            return false;
        }

        // The count drops after the sequence has risen; under the lock nobody sees one without the other.
        Volatile.Write(ref _sequence, _sequence + 1);
        _inProgress--;
        return true;
    }

    /// <summary>Whether a fault that read <paramref name="sequence"/> before its look-up must be dropped.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool MustRetry(ulong sequence, Ipa ipa) =>
        sequence != _sequence || (_inProgress != 0 && ipa.Value >= _start && ipa.Value < _end);
}
