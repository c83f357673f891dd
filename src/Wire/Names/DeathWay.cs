using System;

namespace Quietus.Wire;

/// <summary>How a VM's memory was taken from it.</summary>
public enum DeathWay : byte
{
    /// <summary>The monitor's kill order, in mid-run: the whole Stage-2 is released.</summary>
    Kill,

    /// <summary>A notifier range of event UNMAP over all of its memory, while its vCPUs live.</summary>
    Unmap,

    /// <summary>The guest's own end: power-off, reset, a fault that it could not go on from.</summary>
    Self,
}

/// <summary>The ways by the names that the protocol has; the first two are the monitor's orders, too.</summary>
public static class DeathWays
{
    public static ReadOnlySpan<byte> NameOf(DeathWay way) => way switch
    {
        DeathWay.Kill => "kill"u8,
        DeathWay.Unmap => "unmap"u8,
        _ => "self"u8,
    };
}
