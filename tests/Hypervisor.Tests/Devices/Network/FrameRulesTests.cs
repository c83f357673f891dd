using System;
using System.Buffers.Binary;
using System.Net;
using Quietus.Hypervisor.Devices.Network;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices.Network;

/// <summary>What a guest may send, and where it goes.</summary>
public sealed class FrameRulesTests
{
    private const ulong Vm = 5;
    private const ulong Other = 0x7_0000_0009;

    [Fact]
    public void Names_follow_from_numbers_and_are_found_again()
    {
        GuestAddress.MacOf(Other).ShouldBe(0x0251_0000_0009UL);
        new IPAddress(BinaryPrimitives.ReverseEndianness(GuestAddress.Of(5))).ToString().ShouldBe("100.80.0.5");
        new IPAddress(BinaryPrimitives.ReverseEndianness(GuestAddress.Of(GuestAddress.NumberMask)))
            .ToString().ShouldBe("100.111.255.255");
        GuestAddress.IsMac(GuestAddress.MacOf(Other), out uint number).ShouldBeTrue();
        number.ShouldBe(9u);
        GuestAddress.IsAddress(GuestAddress.Of(Other), out number).ShouldBeTrue();
        number.ShouldBe(9u);
        GuestAddress.IsMac(TestFrame.GatewayMac, out _).ShouldBeFalse();
        GuestAddress.IsAddress(GuestAddress.Gateway, out _).ShouldBeFalse();
        foreach (uint edge in (uint[])[0, GuestAddress.NumberMask, 1 << 20])
        {
            (GuestAddress.Of(edge) & GuestAddress.NetworkMask).ShouldBe(GuestAddress.Network);
        }
    }

    [Fact]
    public void A_frame_for_a_VM_goes_to_that_VM_and_a_question_for_its_address_too()
    {
        Route(TestFrame.IPv4Of(Vm, GuestAddress.MacOf(Other), GuestAddress.Of(Other)), out FramePeer peer)
            .ShouldBe(FrameRoute.Peer);
        peer.ShouldBe(new FramePeer(9, uint.MaxValue));
        Route(TestFrame.Question(Vm, GuestAddress.Of(Other)), out peer).ShouldBe(FrameRoute.Peer);
        peer.ShouldBe(new FramePeer(9, GuestAddress.NumberMask));
        Route(TestFrame.Arp(
            GuestAddress.MacOf(Other), GuestAddress.MacOf(Vm), GuestAddress.MacOf(Vm), GuestAddress.Of(Vm),
            GuestAddress.Of(Other), operation: 2), out _).ShouldBe(FrameRoute.Peer);
    }

    [Theory]
    [InlineData("9.9.9.9", 6, true)]
    [InlineData("192.168.1.1", 17, true)] // the host's own network
    [InlineData("100.64.0.3", 17, true)] // the name server
    [InlineData("100.64.0.2", 1, true)] // the gateway, by ping
    [InlineData("100.64.0.2", 6, false)] // behind which is the host's loopback
    [InlineData("100.127.0.1", 6, false)]
    [InlineData("127.0.0.1", 6, false)]
    [InlineData("0.0.0.0", 6, false)]
    [InlineData("169.254.169.254", 6, false)]
    [InlineData("224.0.0.251", 17, false)]
    [InlineData("255.255.255.255", 17, false)]
    [InlineData("100.80.0.9", 6, false)] // a VM, by the gateway's MAC
    public void What_goes_out_is_for_the_world_and_not_for_the_host_itself(string target, byte protocol, bool isLet)
    {
        uint address = BinaryPrimitives.ReadUInt32BigEndian(IPAddress.Parse(target).GetAddressBytes());
        Route(TestFrame.IPv4Of(Vm, TestFrame.GatewayMac, address, protocol), out _)
            .ShouldBe(isLet ? FrameRoute.Uplink : FrameRoute.None);
    }

    [Fact]
    public void Questions_for_the_gateway_go_out_and_other_broadcasts_and_multicasts_go_nowhere()
    {
        Route(TestFrame.Question(Vm, GuestAddress.Gateway), out _).ShouldBe(FrameRoute.Uplink);
        Route(TestFrame.IPv4Of(Vm, TestFrame.Broadcast, 0x0909_0909), out _).ShouldBe(FrameRoute.None);
        Route(TestFrame.IPv4Of(Vm, 0x0100_5E00_00FB, 0x0909_0909), out _).ShouldBe(FrameRoute.None);
        byte[] other = TestFrame.IPv4Of(Vm, TestFrame.GatewayMac, 0x0909_0909);
        BinaryPrimitives.WriteUInt16BigEndian(other.AsSpan(12), 0x86DD);
        Route(other, out _).ShouldBe(FrameRoute.None);
    }

    [Fact]
    public void A_VM_can_pass_for_no_other()
    {
        ulong mac = GuestAddress.MacOf(Vm);
        uint address = GuestAddress.Of(Vm);
        ulong otherMac = GuestAddress.MacOf(Other);
        uint otherAddress = GuestAddress.Of(Other);
        foreach (ulong to in (ulong[])[TestFrame.GatewayMac, otherMac])
        {
            Route(TestFrame.IPv4(to, otherMac, address, 0x0909_0909), out _).ShouldBe(FrameRoute.None);
            Route(TestFrame.IPv4(to, mac, otherAddress, 0x0909_0909), out _).ShouldBe(FrameRoute.None);
            Route(TestFrame.Arp(to, mac, mac, otherAddress, GuestAddress.Gateway), out _).ShouldBe(FrameRoute.None);
            Route(TestFrame.Arp(to, mac, otherMac, address, GuestAddress.Gateway), out _).ShouldBe(FrameRoute.None);
            Route(TestFrame.Arp(to, otherMac, mac, address, GuestAddress.Gateway), out _).ShouldBe(FrameRoute.None);
        }

        // A template's child that still uses its template's names is no exception.
        FrameRules.OfGuest(TestFrame.Question(Vm, GuestAddress.Gateway), Vm + 1, out _).ShouldBe(FrameRoute.None);
    }

    [Fact]
    public void Any_bytes_of_any_length_are_taken_and_only_right_ones_go_anywhere()
    {
        var random = new Random(20);
        byte[][] right =
        [
            TestFrame.IPv4Of(Vm, GuestAddress.MacOf(Other), GuestAddress.Of(Other)),
            TestFrame.IPv4Of(Vm, TestFrame.GatewayMac, 0x0909_0909),
            TestFrame.Question(Vm, GuestAddress.Gateway),
        ];
        int let = 0;
        for (int round = 0; round < 100_000; round++)
        {
            byte[] frame = [.. right[random.Next(right.Length)].AsSpan(0, random.Next(1, 43))];
            for (int changes = random.Next(4); changes > 0; changes--)
            {
                frame[random.Next(frame.Length)] = (byte)random.Next(256);
            }

            _ = FrameRules.TryRouteIn(frame, out _);
            if (Route(frame, out _) != FrameRoute.None)
            {
                let++;
                GuestAddress.ReadMac(frame.AsSpan(6)).ShouldBe(GuestAddress.MacOf(Vm));
                int at = frame[13] == 6 ? 28 : 26;
                BinaryPrimitives.ReadUInt32BigEndian(frame.AsSpan(at)).ShouldBeOneOf(GuestAddress.Of(Vm), 0u);
            }
        }

        let.ShouldBeGreaterThan(1000);
        Route(new byte[FrameRules.MostBytes + 1], out _).ShouldBe(FrameRoute.None);
    }

    [Fact]
    public void What_comes_in_goes_to_the_VM_that_it_is_for()
    {
        FrameRules.TryRouteIn(
            TestFrame.IPv4(GuestAddress.MacOf(Vm), TestFrame.GatewayMac, 0x0909_0909, GuestAddress.Of(Vm)),
            out FramePeer peer).ShouldBeTrue();
        peer.Number.ShouldBe(5u);
        FrameRules.TryRouteIn(
            TestFrame.Arp(
                TestFrame.Broadcast, TestFrame.GatewayMac, TestFrame.GatewayMac, GuestAddress.Gateway,
                GuestAddress.Of(Other)), out peer).ShouldBeTrue();
        peer.ShouldBe(new FramePeer(9, GuestAddress.NumberMask));
        FrameRules.TryRouteIn(
            TestFrame.IPv4(TestFrame.Broadcast, TestFrame.GatewayMac, 0x0909_0909, GuestAddress.Of(Vm)), out _)
            .ShouldBeFalse();
    }

    [Fact]
    public void A_VM_sends_at_its_rate_and_64_KB_at_once()
    {
        FrameAllowance allowance = default;
        int frames = 0;
        while (allowance.TryTake(1_000_000_000, 1514))
        {
            frames++;
        }

        (frames * 1514).ShouldBeInRange(64 << 10, (64 << 10) + 3000);
        int later = 0;
        for (ulong now = 1_000_000_000; now < 2_000_000_000; now += 100_000)
        {
            while (allowance.TryTake(now, 1514))
            {
                later++;
            }
        }

        (later * 1514).ShouldBeInRange(15_600_000, 15_700_000);
        allowance = default;
        int small = 0;
        while (allowance.TryTake(0, 14))
        {
            small++;
        }

        small.ShouldBeInRange(256, 258);
    }

    private static FrameRoute Route(byte[] frame, out FramePeer peer) => FrameRules.OfGuest(frame, Vm, out peer);
}
