using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public partial class VirtualGicTests
{
    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(16)]
    public void One_vcpu_behaves_as_a_plain_model_of_pending_and_active_says(int listRegisters)
    {
        var random = new Random(listRegisters);
        int taken = 0;
        for (int round = 0; round < 300; round++)
        {
            VirtualGic gic = Started(1);
            var cpu = new VirtualCpu(0, listRegisters);
            var model = new GicModel();
            uint edges = (uint)random.Next() & 0x5555_5555;
            gic.WriteDistributor(0, Icfgr + 8, 4, edges << 1);
            for (int i = 0; i < 16; i++)
            {
                model.Edge[32 + i] = ((edges >> (i * 2)) & 1) != 0;
            }

            for (int step = 0; step < 300; step++)
            {
                uint interrupt = random.Next(3) == 0 ? (uint)random.Next(16) : (uint)random.Next(32, 56);
                ulong bank = interrupt < 32 ? 0UL : 4UL;
                uint bit = 1U << (int)(interrupt % 32);
                switch (random.Next(9))
                {
                    case 0:
                        byte priority = (byte)(random.Next(32) * 8);
                        Write(ref gic, interrupt, Ipriorityr + interrupt, 1, priority);
                        model.Priority[interrupt] = priority;
                        break;
                    case 1 or 2:
                        Write(ref gic, interrupt, Isenabler + bank, 4, bit);
                        model.Enabled[interrupt] = true;
                        break;
                    case 3 when random.Next(3) == 0:
                        Write(ref gic, interrupt, Icenabler + bank, 4, bit);
                        model.Enabled[interrupt] = false;
                        break;
                    case 4 when interrupt >= 32:
                        bool asserted = random.Next(2) == 0;
                        gic.SetSharedLine(interrupt, asserted);
                        model.SetLine(interrupt, asserted);
                        break;
                    case 5:
                        Write(ref gic, interrupt, Ispendr + bank, 4, bit);
                        model.Latch[interrupt] = true;
                        break;
                    case 6 when random.Next(3) == 0:
                        Write(ref gic, interrupt, Icpendr + bank, 4, bit);
                        model.Latch[interrupt] = false;
                        break;
                    case 7:
                        cpu.Enter(ref gic);
                        uint got = cpu.Acknowledge();
                        got.ShouldBe(model.Acknowledge());
                        taken += got == VirtualCpu.Spurious ? 0 : 1;
                        cpu.Exit(ref gic);
                        break;
                    case 8 when model.Running.Count != 0:
                        cpu.Enter(ref gic);
                        cpu.End(model.End());
                        cpu.EndedUnlisted.ShouldBe(0u);
                        cpu.Exit(ref gic);
                        break;
                }

                gic.HasPending(0).ShouldBe(model.AnyDeliverable());
                gic.ReadRedistributor(0, Sgi + Ispendr, 4).ShouldBe(GicModel.Bits(0, model.IsPending));
                gic.ReadDistributor(Ispendr + 4, 4).ShouldBe(GicModel.Bits(32, model.IsPending));
                gic.ReadRedistributor(0, Sgi + Isactiver, 4).ShouldBe(GicModel.Bits(0, i => model.Active[i]));
                gic.ReadDistributor(Isactiver + 4, 4).ShouldBe(GicModel.Bits(32, i => model.Active[i]));
            }
        }

        taken.ShouldBeGreaterThan(1000);
    }

    [Fact]
    public void Several_vcpus_with_random_and_hostile_accesses_never_share_an_interrupt_and_never_lose_a_kick()
    {
        var random = new Random(3);
        for (int round = 0; round < 200; round++)
        {
            int vcpus = random.Next(1, 9);
            VirtualGic gic = Started(vcpus);
            VirtualCpu[] cpus = [.. Enumerable.Range(0, vcpus).Select(i => new VirtualCpu(i, random.Next(1, 17)))];
            var inside = new bool[vcpus];
            for (int step = 0; step < 500; step++)
            {
                int vcpu = random.Next(vcpus);
                uint kick = 0;
                uint before = Attention(ref gic);
                switch (random.Next(10))
                {
                    case 0 or 1 when !inside[vcpu]:
                        cpus[vcpu].Enter(ref gic);
                        inside[vcpu] = true;
                        break;
                    case 2 when inside[vcpu]:
                        kick = cpus[vcpu].Exit(ref gic);
                        gic.TakeReleasedHardware(vcpu);
                        inside[vcpu] = false;
                        break;
                    case 3 when inside[vcpu]:
                        uint got = cpus[vcpu].Acknowledge();
                        if (random.Next(2) == 0)
                        {
                            cpus[vcpu].End(got);
                        }

                        break;
                    case 4:
                        kick = gic.SetSharedLine((uint)random.Next(28, 100), random.Next(2) == 0);
                        break;
                    case 5:
                        ulong sgi = (ulong)random.NextInt64() & 0x0000_0100_0F00_00FF;
                        kick = gic.SendSgi(vcpu, sgi, random.Next(2) == 0);
                        break;
                    case 6 when !inside[vcpu]:
                        kick = random.Next(2) == 0 ? gic.RaiseHardware(vcpu, 27) : gic.DropHardware(vcpu, TimerLinked);
                        break;
                    default:
                        ulong offset = Offset(random);
                        int size = 1 << random.Next(4);
                        ulong value = random.Next(2) == 0 ? ulong.MaxValue : (ulong)random.NextInt64();
                        if (random.Next(2) == 0)
                        {
                            gic.ReadDistributor(offset, size);
                            kick = gic.WriteDistributor(vcpu, offset, size, value);
                        }
                        else
                        {
                            ulong place = random.Next(2) == 0 ? offset + Sgi : offset;
                            int frame = random.Next(-1, 10);
                            gic.ReadRedistributor(frame, place, size);
                            kick = gic.WriteRedistributor(frame, place, size, value);
                        }

                        break;
                }

                kick.ShouldBeLessThan(1u << vcpus);
                for (int other = 0; other < vcpus; other++)
                {
                    // What has just got something to see must be kicked; a vCPU that enters looks by itself.
                    if (other != vcpu)
                    {
                        ((Attention(ref gic) & ~before & ~kick) >> other & 1).ShouldBe(0u);
                    }

                    if (inside[other] && gic.NeedsAttention(other) && random.Next(4) == 0)
                    {
                        cpus[other].Exit(ref gic);
                        inside[other] = false;
                    }
                }

                var loaded = new HashSet<uint>();
                foreach (uint interrupt in cpus.SelectMany(cpu => cpu.Registers).Select(register => (uint)register))
                {
                    if (interrupt >= 32)
                    {
                        loaded.Add(interrupt).ShouldBeTrue();
                    }
                }
            }
        }
    }

    private static uint Attention(ref VirtualGic gic)
    {
        uint mask = 0;
        for (int i = 0; i < gic.VcpuCount; i++)
        {
            mask |= gic.NeedsAttention(i) ? 1U << i : 0;
        }

        return mask;
    }

    private static ulong Offset(Random random) => random.Next(8) switch
    {
        0 => (ulong)random.NextInt64(),
        1 => (ulong)random.Next(0x1_0000),
        2 => Irouter + (8 * (ulong)random.Next(30, 100)),
        3 => (ulong)random.Next(0, 0x20),
        _ => (ulong)(random.Next(0x20, 0x320) * 4),
    };

    private static void Write(ref VirtualGic gic, uint interrupt, ulong offset, int size, ulong value)
    {
        if (interrupt < 32)
        {
            gic.WriteRedistributor(0, Sgi + offset, size, value);
        }
        else
        {
            gic.WriteDistributor(0, offset, size, value);
        }
    }
}
