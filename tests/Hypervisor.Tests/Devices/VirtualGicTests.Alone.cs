using System;
using System.Runtime.InteropServices;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public partial class VirtualGicTests
{
    /// <summary>
    /// A timer's interrupt that is alone goes in and comes back by a short way. Whatever the guest did before and
    /// meanwhile, that leaves the very state of the long one, or is not taken.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void The_short_ways_of_a_timer_that_is_alone_come_to_what_the_long_ones_do(int vcpus)
    {
        var random = new Random(vcpus);
        int raised = 0;
        int ended = 0;
        for (int round = 0; round < 20_000; round++)
        {
            VirtualGic gic = Started(vcpus);
            gic.WriteRedistributor(0, Sgi + Isenabler, 4, TimerLinked | ((uint)random.Next() & 0xFF00_0000));
            Disturb(ref gic, random, vcpus, random.Next(4));
            uint interrupt = random.Next(8) == 0 ? (uint)random.Next(40) : 27;
            VirtualGic other = gic;
            if (!gic.TryRaiseAlone(0, interrupt, out ulong register))
            {
                Same(ref gic, ref other);
                continue;
            }

            raised++;
            var registers = new ulong[4];
            other.RaiseHardware(0, interrupt);
            other.TakeReleasedHardware(0).ShouldBe(0u);
            other.Fill(0, registers, out bool more).ShouldBe(1);
            more.ShouldBeFalse();
            register.ShouldBe(registers[0]);
            Same(ref gic, ref other);

            Disturb(ref gic, random, vcpus, random.Next(3));
            register = random.Next(4) switch
            {
                0 => register,
                1 => (register & ~ListRegister.Pending) | ListRegister.Active,
                _ => register & ~ListRegister.Pending,
            };
            other = gic;
            if (gic.TryEndAlone(0, register))
            {
                ended++;
                other.Sync(0, [register]);
            }

            Same(ref gic, ref other);
        }

        raised.ShouldBeGreaterThan(1000);
        ended.ShouldBeGreaterThan(500);
    }

    /// <summary>A guest's accesses, and what its other vCPU and its devices do.</summary>
    private static void Disturb(ref VirtualGic gic, Random random, int vcpus, int times)
    {
        for (; times > 0; times--)
        {
            ulong offset = Offset(random);
            ulong value = random.Next(2) == 0 ? 1UL << random.Next(32) : (ulong)random.NextInt64();
            switch (random.Next(6))
            {
                case 0:
                    gic.WriteDistributor(vcpus - 1, offset, 4, value);
                    break;
                case 1:
                    gic.SetSharedLine((uint)random.Next(32, 96), asserted: true);
                    break;
                case 2:
                    gic.SendSgi(vcpus - 1, (ulong)random.NextInt64() & 0x0000_0100_0F00_00FF);
                    break;
                case 3:
                    gic.WriteRedistributor(0, Sgi + (ulong)(0x80 * random.Next(1, 8)), 4, value);
                    break;
                default:
                    gic.WriteRedistributor(0, Sgi + offset, 4, value);
                    break;
            }
        }
    }

    private static void Same(ref VirtualGic gic, ref VirtualGic other) =>
        Bytes(ref gic).SequenceEqual(Bytes(ref other)).ShouldBeTrue();

    private static Span<byte> Bytes(ref VirtualGic gic) => MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref gic, 1));
}
