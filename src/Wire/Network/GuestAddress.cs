using System;
using System.Buffers.Binary;

namespace Quietus.Wire;

/// <summary>
/// What a VM is called on a network: by its number alone, so that the hypervisor can check it and the VM need not ask.
/// </summary>
/// <remarks>
/// <code>
///  MAC   02-51-nn-nn-nn-nn   the number's low 32 bits
///  IPv4  100.80.0.0 + n      its low 21 bits, in 100.64.0.0/10
/// </code>
/// The MAC is locally administered (IEEE 802c). The network is the shared address space of RFC 6598, which is meant for
/// what lies behind an address translator, as the VMs do. Addresses come again after 2^21 VMs.
/// </remarks>
public static class GuestAddress
{
    /// <summary>Bytes of a MAC.</summary>
    public const int MacBytes = 6;

    /// <summary>Bits of the number that the IPv4 address has.</summary>
    public const uint NumberMask = (1 << 21) - 1;

    /// <summary>100.64.0.0.</summary>
    public const uint Network = 0x6440_0000;

    /// <summary>255.192.0.0.</summary>
    public const uint NetworkMask = 0xFFC0_0000;

    /// <summary>100.64.0.2: the way out.</summary>
    public const uint Gateway = Network + 2;

    /// <summary>100.64.0.3: answers for the host's name server.</summary>
    public const uint NameServer = Network + 3;

    private const uint First = 0x6450_0000;
    private const ulong MacPrefix = 0x0251;
    private const int PrefixShift = 32;

    /// <summary>The MAC of a VM, as a number of 48 bits.</summary>
    public static ulong MacOf(ulong vm) => (MacPrefix << PrefixShift) | (uint)vm;

    /// <summary>The IPv4 address of a VM.</summary>
    public static uint Of(ulong vm) => First + ((uint)vm & NumberMask);

    /// <summary>The low 32 bits of the VM's number that a MAC belongs to, if it belongs to one.</summary>
    public static bool IsMac(ulong mac, out uint number)
    {
        number = (uint)mac;
        return mac >> PrefixShift == MacPrefix;
    }

    /// <summary>The low 21 bits of the VM's number that an IPv4 address belongs to, if it belongs to one.</summary>
    public static bool IsAddress(uint address, out uint number)
    {
        number = address - First;
        return number <= NumberMask;
    }

    /// <summary>Reads a MAC from the first 6 bytes.</summary>
    public static ulong ReadMac(ReadOnlySpan<byte> from) =>
        ((ulong)BinaryPrimitives.ReadUInt16BigEndian(from) << PrefixShift)
            | BinaryPrimitives.ReadUInt32BigEndian(from.Slice(2));

    /// <summary>Writes a MAC to the first 6 bytes.</summary>
    public static void WriteMac(Span<byte> to, ulong mac)
    {
        BinaryPrimitives.WriteUInt16BigEndian(to, (ushort)(mac >> PrefixShift));
        BinaryPrimitives.WriteUInt32BigEndian(to.Slice(2), (uint)mac);
    }
}
