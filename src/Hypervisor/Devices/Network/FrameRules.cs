using System;
using System.Buffers.Binary;
using Quietus.Wire;

namespace Quietus.Hypervisor.Devices.Network;

/// <summary>Where a frame goes.</summary>
public enum FrameRoute
{
    /// <summary>Nowhere: it is dropped.</summary>
    None,

    /// <summary>To a VM.</summary>
    Peer,

    /// <summary>To the machine's own network device.</summary>
    Uplink,
}

/// <summary>A VM that a frame is for: the bits of its number that are known.</summary>
/// <param name="number">Their values.</param>
/// <param name="mask">Which they are; the low ten are among them.</param>
public readonly struct FramePeer(uint number, uint mask)
{
    public uint Number { get; } = number;

    public uint Mask { get; } = mask;
}

/// <summary>
/// What a guest may send, and where it goes. A frame is an allegation: its sender must be the VM that it came from, by
/// MAC, by IPv4 address, and in what an ARP message says of itself. So no VM can pass for another, on any path. Since
/// addresses follow from numbers, nothing is learned and nothing is flooded: each frame goes to one place.
/// </summary>
/// <remarks>
/// <code>
///  frame  to 6 | from 6 | type 2 | payload                              IEEE 802.3
///  ARP    1 | 0x0800 | 6 4 | operation | MAC 6 | IP 4 | MAC 6 | IP 4    RFC 826: sender, then target
///  IPv4   4, length | … | protocol at 9 | from at 12 | to at 16         RFC 791
/// </code>
/// Anything else (IPv6, VLANs, multicast, broadcasts but for ARP's questions) is dropped.
/// </remarks>
public static class FrameRules
{
    /// <summary>Bytes of a frame's header.</summary>
    public const int HeaderBytes = 14;

    /// <summary>Bytes of a frame at most, without its check sequence.</summary>
    public const int MostBytes = HeaderBytes + 1500;

    private const ulong Broadcast = 0xFFFF_FFFF_FFFF;
    private const ulong MulticastBit = 1UL << 40;

    private const ushort TypeIPv4 = 0x0800;
    private const ushort TypeArp = 0x0806;
    private const int ArpBytes = 28;
    private const ulong ArpOfIPv4 = 0x0001_0800_0604;
    private const int LeastIPv4Bytes = 20;
    private const byte ProtocolIcmp = 1;

    /// <summary>Where a guest's frame goes.</summary>
    /// <param name="frame">The frame, copied out of the guest's reach.</param>
    /// <param name="vm">The number of the VM that sent it.</param>
    /// <param name="peer">The VM that it is for, when it is for one.</param>
    public static FrameRoute OfGuest(ReadOnlySpan<byte> frame, ulong vm, out FramePeer peer)
    {
        peer = default;
        if (frame.Length is < HeaderBytes or > MostBytes
            || GuestAddress.ReadMac(frame.Slice(GuestAddress.MacBytes)) != GuestAddress.MacOf(vm))
        {
            return FrameRoute.None;
        }

        ReadOnlySpan<byte> payload = frame.Slice(HeaderBytes);
        bool isArp = TypeOf(frame) == TypeArp;
        bool isOwn = isArp ? IsOwnArp(payload, vm) : TypeOf(frame) == TypeIPv4 && IsOwnIPv4(payload, vm);
        if (!isOwn)
        {
            return FrameRoute.None;
        }

        if (TryFindPeer(frame, isArp, out peer))
        {
            return FrameRoute.Peer;
        }

        bool isForAll = (GuestAddress.ReadMac(frame) & MulticastBit) != 0;
        bool isOut = isArp
            ? !isForAll || GuestAddress.ReadMac(frame) == Broadcast
            : !isForAll && IsOutside(payload);
        return isOut ? FrameRoute.Uplink : FrameRoute.None;
    }

    /// <summary>The VM that a frame of the machine's network device is for. False: for none.</summary>
    public static bool TryRouteIn(ReadOnlySpan<byte> frame, out FramePeer peer)
    {
        peer = default;
        bool isArp = frame.Length >= HeaderBytes + ArpBytes && TypeOf(frame) == TypeArp;
        return (isArp || (frame.Length >= HeaderBytes + LeastIPv4Bytes && TypeOf(frame) == TypeIPv4))
            && frame.Length <= MostBytes
            && TryFindPeer(frame, isArp, out peer);
    }

    private static ushort TypeOf(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadUInt16BigEndian(frame.Slice(12));

    /// <summary>By the MAC; a question of ARP's for all, by the address that it asks for.</summary>
    private static bool TryFindPeer(ReadOnlySpan<byte> frame, bool isArp, out FramePeer peer)
    {
        ulong to = GuestAddress.ReadMac(frame);
        if (GuestAddress.IsMac(to, out uint number))
        {
            peer = new FramePeer(number, uint.MaxValue);
            return true;
        }

        peer = default;
        if (to != Broadcast || !isArp || !GuestAddress.IsAddress(Word(frame.Slice(HeaderBytes), 24), out number))
        {
            return false;
        }

        peer = new FramePeer(number, GuestAddress.NumberMask);
        return true;
    }

    private static bool IsOwnArp(ReadOnlySpan<byte> arp, ulong vm) =>
        arp.Length >= ArpBytes
        && BinaryPrimitives.ReadUInt64BigEndian(arp) >> 16 == ArpOfIPv4
        && GuestAddress.ReadMac(arp.Slice(8)) == GuestAddress.MacOf(vm)
        && (Word(arp, 14) == GuestAddress.Of(vm) || Word(arp, 14) == 0); // 0: a probe (RFC 5227)

    private static bool IsOwnIPv4(ReadOnlySpan<byte> packet, ulong vm) =>
        packet.Length >= LeastIPv4Bytes && packet[0] >> 4 == 4 && Word(packet, 12) == GuestAddress.Of(vm);

    /// <summary>
    /// Whether a VM may send it out: not to the loopback or the host behind it, by which name ever (QEMU's user network
    /// is the host's programs' own); not to addresses of a link, where clouds keep their machines' secrets
    /// (169.254.169.254); not to many. The gateway answers to ping, and to nothing else.
    /// </summary>
    private static bool IsOutside(ReadOnlySpan<byte> packet)
    {
        uint to = Word(packet, 16);
        if ((to & GuestAddress.NetworkMask) == GuestAddress.Network)
        {
            return to == GuestAddress.NameServer || (to == GuestAddress.Gateway && packet[9] == ProtocolIcmp);
        }

        return (to >> 24) is not 0 and not 127 and < 224 && to >> 16 != 0xA9FE;
    }

    private static uint Word(ReadOnlySpan<byte> from, int offset) =>
        BinaryPrimitives.ReadUInt32BigEndian(from.Slice(offset));
}
