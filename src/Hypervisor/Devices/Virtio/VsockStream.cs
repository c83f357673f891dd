using System;
using Quietus.Wire;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>Where a stream is in its life.</summary>
internal enum VsockState : byte
{
    /// <summary>There is none.</summary>
    None,

    /// <summary>The guest has not answered the request yet, or not got it.</summary>
    Asked,

    /// <summary>Bytes go both ways.</summary>
    Open,

    /// <summary>It is over; one end or both must be told still.</summary>
    Over,
}

/// <summary>What an end has to be told of a stream; of several, the first in this order.</summary>
[Flags]
internal enum VsockNews : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>To the guest a request, to the host that it was accepted.</summary>
    Begin = 1,

    /// <summary>How much more it may send.</summary>
    Credit = 2,

    /// <summary>The other end sends no more: after the bytes that wait.</summary>
    Shut = 4,

    /// <summary>It is over. To the host after the bytes that wait, to the guest at once.</summary>
    Reset = 8,
}

/// <summary>
/// A connection between a program at the link and a port of a guest, as totals modulo 2^32. Neither end is believed:
/// one that sends beyond what it was allowed breaks the stream, and nothing else.
/// </summary>
internal struct VsockStream
{
    /// <summary>More than any guest's buffer counts for: sums must not wrap around.</summary>
    private const uint MostBuffer = 1 << 30;

    /// <summary>Where it is in its life.</summary>
    internal VsockState State;

    /// <summary>What the guest is to be told.</summary>
    internal VsockNews ForGuest;

    /// <summary>What the host is to be told.</summary>
    internal VsockNews ForHost;

    /// <summary>Why it is over, for the host.</summary>
    internal StreamEnd End;

    /// <summary>The host's number for it, and its port for the guest.</summary>
    internal uint Number;

    /// <summary>The guest's port.</summary>
    internal uint Port;

    /// <summary>Bytes that the host has sent; that the guest has got.</summary>
    internal uint Received;

    /// <summary>See <see cref="Received"/>.</summary>
    internal uint Delivered;

    /// <summary>The limit that the host was told.</summary>
    internal uint Told;

    /// <summary>Bytes that the guest has sent; that the host has got.</summary>
    internal uint Taken;

    /// <summary>See <see cref="Taken"/>.</summary>
    internal uint Given;

    /// <summary>The host's limit for the guest, and how far it is beyond what the host has taken.</summary>
    internal uint HostLimit;

    /// <summary>See <see cref="HostLimit"/>.</summary>
    internal uint Window;

    /// <summary>The guest sends no more.</summary>
    internal bool GuestIsShut;

    /// <summary>The guest receives no more: what the host still sends is dropped.</summary>
    internal bool GuestIsDeaf;

    private uint _guestBuffer;
    private uint _guestForwarded;

    /// <summary>Bytes that wait for the guest.</summary>
    internal readonly uint WaitingForGuest => Received - Delivered;

    /// <summary>Bytes that wait for the host.</summary>
    internal readonly uint WaitingForHost => Taken - Given;

    /// <summary>Bytes that the guest has room for.</summary>
    internal readonly uint GuestRoom => Room(_guestBuffer, Delivered - _guestForwarded);

    /// <summary>Bytes that the guest may send.</summary>
    internal readonly uint HostRoom => HostLimit - Taken;

    /// <summary>Up to which total the host may send now; never less than it was told.</summary>
    internal readonly uint Limit
    {
        get
        {
            uint limit = Delivered + Math.Min(GuestRoom, VsockBuffers.RingBytes);
            return FlowMessage.IsLater(limit, Told) ? limit : Told;
        }
    }

    /// <summary>Whether the host should hear of its limit: it waits for room, or half a ring was freed.</summary>
    internal readonly bool OwesHostCredit =>
        State == VsockState.Open && Limit - Told >= (Told == Received ? 1 : VsockBuffers.RingBytes / 2);

    /// <summary>Whether the guest has not got the request yet.</summary>
    internal readonly bool IsAskedFor => (ForGuest & VsockNews.Begin) != 0;

    /// <summary>Whether the guest can be told or given something now.</summary>
    internal readonly bool HasForGuest =>
        (ForGuest & (VsockNews.Begin | VsockNews.Credit | VsockNews.Reset)) != 0
        || (State == VsockState.Open && (WaitingForGuest != 0 ? GuestRoom != 0 : (ForGuest & VsockNews.Shut) != 0));

    /// <summary>The same for the host.</summary>
    internal readonly bool HasForHost => ForHost != 0 || WaitingForHost != 0 || OwesHostCredit;

    /// <summary>
    /// Takes note of the guest's buffer, which every packet of its tells. False: it claims to have taken what it never
    /// got.
    /// </summary>
    internal bool TryNoteGuest(uint bufferBytes, uint forwarded)
    {
        if (forwarded - _guestForwarded > Delivered - _guestForwarded)
        {
            return false;
        }

        _guestForwarded = forwarded;
        _guestBuffer = Math.Min(bufferBytes, MostBuffer);
        return true;
    }

    /// <summary>
    /// It is over. What waits for the guest is dropped; what waits for the host is not, unless the host ended it.
    /// </summary>
    internal void Close(VsockNews forGuest, VsockNews forHost, StreamEnd end)
    {
        State = VsockState.Over;
        ForGuest = forGuest;
        ForHost = forHost;
        End = end;
        Delivered = Received;
        if (forHost == VsockNews.None)
        {
            Given = Taken;
        }

        FreeIfTold();
    }

    /// <summary>Makes room for another once both ends know that it is over.</summary>
    internal void FreeIfTold()
    {
        if (State == VsockState.Over && ForGuest == VsockNews.None && ForHost == VsockNews.None && Given == Taken)
        {
            this = default;
        }
    }

    private static uint Room(uint buffer, uint inFlight) => inFlight < buffer ? buffer - inFlight : 0;
}
