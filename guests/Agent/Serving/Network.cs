using System;
using System.Buffers.Binary;
using Quietus.LinuxProgram;
using Quietus.Wire;

namespace Quietus.Agent.Serving;

/// <summary>
/// The guest's network: the loopback, and the interface of the VM's network device, whose addresses follow from the
/// VM's number (<see cref="GuestAddress"/>). The switch lets no others through, so a child must have its own before it
/// sends.
/// </summary>
/// <remarks>Invariant: what a system call is given is as long as it is told, for as long as it lasts.</remarks>
internal static unsafe class Network
{
    // include/uapi/linux/sockios.h
    private const ulong AddRoute = 0x890B; // SIOCADDRT
    private const ulong SetFlags = 0x8914; // SIOCSIFFLAGS
    private const ulong SetAddress = 0x8916; // SIOCSIFADDR
    private const ulong SetMask = 0x891C; // SIOCSIFNETMASK
    private const ulong SetHardware = 0x8924; // SIOCSIFHWADDR
    private const ulong GetHardware = 0x8927; // SIOCGIFHWADDR

    private const ushort UpAndRunning = 0x41; // IFF_UP, IFF_RUNNING
    private const ushort Internet = 2; // AF_INET
    private const ushort Ethernet = 1; // ARPHRD_ETHER
    private const ushort UpByGateway = 3; // RTF_UP, RTF_GATEWAY

    // struct ifreq: name 16, then flags 2, or an address: family 2, and for Internet port 2, address 4.
    private const int RequestBytes = 40;
    private const int Value = 16;

    // struct rtentry of a 64-bit kernel: target, gateway and mask are addresses of 16 bytes.
    private const int RouteBytes = 120;
    private const int RouteTarget = 8;
    private const int RouteGateway = 24;
    private const int RouteMask = 40;
    private const int RouteFlags = 56;

    private static int _socket;
    private static bool _isThere;

    private static ReadOnlySpan<byte> Name => "eth0\0"u8;

    /// <summary>Brings the loopback up.</summary>
    internal static void BeginLoopback()
    {
        byte* request = stackalloc byte[RequestBytes];
        long socket = SystemCalls.InternetSocket();
        if (socket >= 0)
        {
            Begin(request, "lo\0"u8);
            *(ushort*)(request + Value) = UpAndRunning;
            SystemCalls.Control((int)socket, SetFlags, (ulong)request);
            SystemCalls.Close((int)socket);
        }
    }

    /// <summary>Looks for the VM's interface, which has the MAC that follows from the VM's number.</summary>
    internal static bool TryFind(ulong vm)
    {
        byte* request = stackalloc byte[RequestBytes];
        if (!_isThere)
        {
            _socket = (int)SystemCalls.InternetSocket();
            Begin(request, Name);
            _isThere = _socket >= 0
                && SystemCalls.Control(_socket, GetHardware, (ulong)request) >= 0
                && GuestAddress.ReadMac(new ReadOnlySpan<byte>(request + Value + 2, GuestAddress.MacBytes))
                    == GuestAddress.MacOf(vm);
        }

        return _isThere;
    }

    /// <summary>Sets the interface up, and tells programs of the name server. False: there is no interface.</summary>
    internal static bool TryOpen(ulong vm)
    {
        if (!TryFind(vm))
        {
            return false;
        }

        if (!TrySet(vm))
        {
            Message.Say("the network cannot be set up: is this root?"u8);
        }

        WriteNameServer();
        return true;
    }

    /// <summary>Gives the interface the addresses of a VM, if there is one. False when the kernel refuses.</summary>
    internal static bool TrySet(ulong vm)
    {
        byte* request = stackalloc byte[RequestBytes];
        byte* route = stackalloc byte[RouteBytes];
        if (!_isThere)
        {
            return true;
        }

        Begin(request, Name);
        *(ushort*)(request + Value) = Ethernet;
        GuestAddress.WriteMac(new Span<byte>(request + Value + 2, GuestAddress.MacBytes), GuestAddress.MacOf(vm));
        bool isSet = SystemCalls.Control(_socket, SetHardware, (ulong)request) >= 0;
        Begin(request, Name);
        WriteAddress(request + Value, GuestAddress.Of(vm));
        isSet = isSet && SystemCalls.Control(_socket, SetAddress, (ulong)request) >= 0;
        WriteAddress(request + Value, GuestAddress.NetworkMask);
        isSet = isSet && SystemCalls.Control(_socket, SetMask, (ulong)request) >= 0;
        Begin(request, Name);
        *(ushort*)(request + Value) = UpAndRunning;
        isSet = isSet && SystemCalls.Control(_socket, SetFlags, (ulong)request) >= 0;

        new Span<byte>(route, RouteBytes).Clear();
        WriteAddress(route + RouteTarget, 0);
        WriteAddress(route + RouteMask, 0);
        WriteAddress(route + RouteGateway, GuestAddress.Gateway);
        *(ushort*)(route + RouteFlags) = UpByGateway;
        return isSet && SystemCalls.Control(_socket, AddRoute, (ulong)route) is >= 0 or SystemCalls.Exists;
    }

    /// <summary>An image may have a file of its host's there, or a link to what no program here writes.</summary>
    private static void WriteNameServer()
    {
        SystemCalls.Remove("/etc/resolv.conf"u8);
        long file = SystemCalls.Open("/etc/resolv.conf"u8, SystemCalls.WriteOnly | SystemCalls.Create, 0x1A4);
        if (file >= 0)
        {
            SystemCalls.Write((int)file, "nameserver 100.64.0.3\n"u8);
            SystemCalls.Close((int)file);
        }
    }

    private static void Begin(byte* request, ReadOnlySpan<byte> name)
    {
        Span<byte> all = new(request, RequestBytes);
        all.Clear();
        name.CopyTo(all);
    }

    private static void WriteAddress(byte* to, uint address)
    {
        *(ushort*)to = Internet;
        BinaryPrimitives.WriteUInt32BigEndian(new Span<byte>(to + 4, sizeof(uint)), address);
    }
}
