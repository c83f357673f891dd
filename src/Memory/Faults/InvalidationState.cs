using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Stage2;

namespace Quietus.Memory;

/// <summary>
/// Keeps faults and invalidations apart. A fault reads the sequence, looks its page up without the memory
/// lock, takes the lock, and asks <see cref="MustRetry"/>: when an invalidation of any part of the leaf that it would
/// map is in progress, or one has ended since, the page it looked up may be gone, and the fault is dropped.
/// </summary>
/// <remarks>
/// Linux 5.5 compares the sequence alone and retries while any invalidation is in progress; here the span of
/// those in progress is kept too, so that faults elsewhere go on (as Linux does since 5.12).
/// What is compared is always an extent, first byte to the byte past the last: an address alone says nothing about a
/// block around it.
/// <para>
/// Locking: the VM's memory lock; <see cref="Sequence"/> without.
/// </para>
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

        // The count drops after the sequence has risen; under the lock no PE sees one without the other.
        Volatile.Write(ref _sequence, _sequence + 1);
        _inProgress--;
        return true;
    }

    /// <summary>
    /// The host changed a page without a range around the change: faults that looked it up before are dropped.
    /// </summary>
    public void Renew() => Volatile.Write(ref _sequence, _sequence + 1);

    /// <summary>
    /// Whether a fault that read <paramref name="sequence"/> before its look-up must be dropped.
    /// </summary>
    /// <param name="sequence">What <see cref="Sequence"/> said then.</param>
    /// <param name="start">The first byte of the leaf that would be mapped.</param>
    /// <param name="bytes">The leaf's size.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool MustRetry(ulong sequence, Ipa start, ulong bytes) =>
        sequence != _sequence || IsInProgress(start, bytes);

    /// <summary>Whether an invalidation of any byte of an extent is in progress.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsInProgress(Ipa start, ulong bytes) =>
        _inProgress != 0 && Overlap(start.Value, start.Value + bytes, _start, _end);

    /// <summary>Whether two extents, each without its end, share a byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Overlap(ulong start, ulong end, ulong otherStart, ulong otherEnd) =>
        start < otherEnd && otherStart < end;
}
