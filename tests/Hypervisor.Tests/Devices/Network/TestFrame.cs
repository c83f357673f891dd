using System;
using System.Buffers.Binary;
using Quietus.Wire;

namespace Quietus.Hypervisor.Tests.Devices.Network;

/// <summary>Frames as guests and networks make them: for tests.</summary>
internal static class TestFrame
{
    internal const ulong Broadcast = 0xFFFF_FFFF_FFFF;

    internal const ulong GatewayMac = 0x5255_0A00_0202;

    internal static byte[] IPv4(ulong to, ulong from, uint source, uint target, byte protocol = 17, int bytes = 60)
    {
        byte[] frame = Ethernet(to, from, 0x0800, bytes);
        Span<byte> packet = frame.AsSpan(14);
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)(bytes - 14));
        packet[8] = 64;
        packet[9] = protocol;
        BinaryPrimitives.WriteUInt32BigEndian(packet[12..], source);
        BinaryPrimitives.WriteUInt32BigEndian(packet[16..], target);
        return frame;
    }

    /// <summary>From a VM, with its own names.</summary>
    internal static byte[] IPv4Of(ulong vm, ulong to, uint target, byte protocol = 17) =>
        IPv4(to, GuestAddress.MacOf(vm), GuestAddress.Of(vm), target, protocol);

    internal static byte[] Arp(ulong to, ulong from, ulong senderMac, uint sender, uint target, ushort operation = 1)
    {
        byte[] frame = Ethernet(to, from, 0x0806, 42);
        Span<byte> arp = frame.AsSpan(14);
        BinaryPrimitives.WriteUInt64BigEndian(arp, (0x0001_0800_0604UL << 16) | operation);
        GuestAddress.WriteMac(arp[8..], senderMac);
        BinaryPrimitives.WriteUInt32BigEndian(arp[14..], sender);
        BinaryPrimitives.WriteUInt32BigEndian(arp[24..], target);
        return frame;
    }

    /// <summary>A VM asks who has an address.</summary>
    internal static byte[] Question(ulong vm, uint target) =>
        Arp(Broadcast, GuestAddress.MacOf(vm), GuestAddress.MacOf(vm), GuestAddress.Of(vm), target);

    private static byte[] Ethernet(ulong to, ulong from, ushort type, int bytes)
    {
        byte[] frame = new byte[bytes];
        GuestAddress.WriteMac(frame, to);
        GuestAddress.WriteMac(frame.AsSpan(6), from);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), type);
        return frame;
    }
}
