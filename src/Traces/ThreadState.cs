namespace Quietus.Traces;

/// <summary>
/// What a thread of the host is doing to the VM's Stage-2, so that the maintenance in it is attributed to the right
/// cause, whatever other CPUs do in between.
/// </summary>
internal sealed class ThreadState
{
    /// <summary>The operation that the thread's maintenance belongs to now.</summary>
    public HostEvent Doing;

    /// <summary>
    /// Bytes of the leaf that was mapped or invalidated last, until they are cleaned. What is cleaned beyond a map's is
    /// not for the map; and where the trace does not say the size of a cleaning, it is this.
    /// </summary>
    public ulong BytesToClean;

    /// <summary>Bytes of the notifier's range that have not been unmapped. An unmap beyond them is not its.</summary>
    public ulong BytesOfNotifier;

    /// <summary>Whether a slot is being emptied.</summary>
    public bool IsFlushingSlot;

    /// <summary>Whether its last operation was on another VM than the one that is read.</summary>
    public bool IsForeign;

    /// <summary>When the unmapping of a range began.</summary>
    public long UnmapBegan;

    /// <summary>The last event of that unmapping.</summary>
    public long UnmapSeen;
}
