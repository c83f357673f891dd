using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>VMIDs by generation, with numbers of 3 bits, so that rollovers are the rule.</summary>
public class VmidAllocatorTests
{
    [Fact]
    public void Numbers_are_given_from_one_on_and_zero_never()
    {
        var host = new Host(bits: 3, pes: 2);
        var leases = new VmidLease[7];
        for (int vm = 0; vm < 7; vm++)
        {
            host.Enter(0, ref leases[vm]).ShouldBe(VmidResult.Ok);
            host.Allocator.VmidOf(in leases[vm]).Value.ShouldBe((ushort)(vm + 1));
        }

        host.Invalidations.ShouldBe(0);
    }

    [Fact]
    public void The_eighth_vm_rolls_over_once_and_the_running_ones_keep_their_numbers()
    {
        var host = new Host(bits: 3, pes: 2);
        var leases = new VmidLease[8];
        for (int vm = 0; vm < 7; vm++)
        {
            host.Enter(vm == 3 ? 1 : 0, ref leases[vm]);
        }

        host.Leave(0);
        host.Enter(0, ref leases[7]).ShouldBe(VmidResult.Ok);
        host.Invalidations.ShouldBe(1);
        host.Allocator.Rollovers.ShouldBe(1UL);
        host.Allocator.VmidOf(in leases[7]).Value.ShouldBe((ushort)1);

        // VM 3 still runs on PE 1, on its old number; on its next entry it is the same.
        host.Enter(1, ref leases[3]).ShouldBe(VmidResult.Ok);
        host.Allocator.VmidOf(in leases[3]).Value.ShouldBe((ushort)4);
        host.Enter(0, ref leases[0]).ShouldBe(VmidResult.Ok);
        host.Allocator.VmidOf(in leases[0]).Value.ShouldBe((ushort)2);
        host.Invalidations.ShouldBe(1);
    }

    [Fact]
    public void A_retired_number_is_used_again_at_once_without_a_rollover()
    {
        var host = new Host(bits: 3, pes: 1);
        VmidLease lease = default;
        for (int life = 0; life < 100; life++)
        {
            host.Enter(0, ref lease).ShouldBe(VmidResult.Ok);
            host.Allocator.VmidOf(in lease).Value.ShouldBe((ushort)1);
            host.Retire(ref lease).ShouldBe(VmidResult.StillActive);
            host.Allocator.VmidOf(in lease).Value.ShouldBe((ushort)1);
            host.Leave(0);
            host.Retire(ref lease).ShouldBe(VmidResult.Ok);
            host.Allocator.VmidOf(in lease).Value.ShouldBe((ushort)0);
        }

        host.Invalidations.ShouldBe(0);
    }

    [Fact]
    public void An_abandoned_number_is_not_used_before_the_next_rollover()
    {
        var host = new Host(bits: 3, pes: 1);
        var seen = new List<int>();
        for (int life = 0; life < 8; life++)
        {
            VmidLease lease = default;
            host.Enter(0, ref lease);
            seen.Add(host.Allocator.VmidOf(in lease).Value);
            host.Leave(0);
            Host.Abandon(ref lease);
        }

        seen.ShouldBe([1, 2, 3, 4, 5, 6, 7, 1]);
        host.Invalidations.ShouldBe(1);
    }

    [Fact]
    public void A_vm_that_ran_through_a_rollover_cannot_be_retired_before_it_has_left()
    {
        var host = new Host(bits: 2, pes: 2);
        var leases = new VmidLease[5];
        host.Enter(1, ref leases[0]);
        for (int vm = 1; vm < 5; vm++)
        {
            host.Enter(0, ref leases[vm]).ShouldBe(VmidResult.Ok);
        }

        host.Invalidations.ShouldBeGreaterThan(0);
        host.Retire(ref leases[0]).ShouldBe(VmidResult.StillActive);
        host.Leave(1);
        host.Retire(ref leases[0]).ShouldBe(VmidResult.Ok);
    }

    [Fact]
    public void More_running_vms_than_numbers_are_refused_and_the_others_stay_sound()
    {
        var host = new Host(bits: 2, pes: 5);
        var leases = new VmidLease[5];
        for (int vm = 0; vm < 3; vm++)
        {
            host.Enter(vm, ref leases[vm]).ShouldBe(VmidResult.Ok);
        }

        host.Enter(3, ref leases[3]).ShouldBe(VmidResult.Exhausted);
        host.Enter(3, ref leases[3]).ShouldBe(VmidResult.Exhausted);
        host.Allocator.VmidOf(in leases[3]).Value.ShouldBe((ushort)0);
        host.Enter(0, ref leases[0]).ShouldBe(VmidResult.Ok);
        host.Leave(1);
        host.Enter(3, ref leases[3]).ShouldBe(VmidResult.Ok);
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(17, 1, 1)]
    [InlineData(8, 0, 0)]
    [InlineData(8, 2, 1)]
    public void Sizes_that_do_not_fit_are_refused(int bits, int active, int reserved)
    {
        VmidAllocator allocator = default;
        allocator.Initialize(
            bits, new Pinned<ulong>(1024).Array, new UnmanagedArray<ulong>(0, active),
            new UnmanagedArray<ulong>(0, reserved))
            .ShouldBe(VmidResult.BadArgument);
    }

    [Theory]
    [InlineData(8, 255)]
    [InlineData(16, 65535)]
    public void Every_number_of_real_widths_is_given_once_per_generation(int bits, int numbers)
    {
        var host = new Host(bits, pes: 1);
        var seen = new HashSet<int>();
        for (int vm = 0; vm < numbers; vm++)
        {
            VmidLease lease = default;
            host.Enter(0, ref lease);
            seen.Add(host.Allocator.VmidOf(in lease).Value).ShouldBeTrue();
        }

        seen.Contains(0).ShouldBeFalse();
        host.Invalidations.ShouldBe(0);
        VmidLease last = default;
        host.Enter(0, ref last);
        host.Invalidations.ShouldBe(1);
    }

    [Theory]
    [InlineData(2, 2)]
    [InlineData(3, 1)]
    [InlineData(3, 3)]
    [InlineData(3, 6)]
    public void Random_lives_never_share_a_number_nor_take_a_stale_one(int bits, int pes) =>
        Programs.Check(400, 400, program => Run(program, bits, pes));

    /// <summary>
    /// The generation's own end: where it takes the bit that marks a PE without a guest, and where it begins again at
    /// 0, a tag is a number alone.
    /// </summary>
    [Theory]
    [InlineData(2, 2, 1UL << 63)]
    [InlineData(3, 3, 1UL << 63)]
    [InlineData(2, 2, 0UL)]
    [InlineData(3, 3, 0UL)]
    public void Numbers_stay_apart_when_the_generations_end(int bits, int pes, ulong end) =>
        Programs.Check(100, 400, program => Run(program, bits, pes, unchecked(end - (3UL << bits))));

    [Fact]
    public void A_running_vm_keeps_its_number_over_the_last_generation()
    {
        var host = new Host(bits: 2, pes: 2);
        Generation(ref host.Allocator) = ulong.MaxValue & ~3UL;
        var leases = new VmidLease[4];
        host.Enter(1, ref leases[0]);
        for (int vm = 1; vm < 4; vm++)
        {
            host.Enter(0, ref leases[vm]).ShouldBe(VmidResult.Ok);
        }

        host.Invalidations.ShouldBe(1);
        Generation(ref host.Allocator).ShouldBe(0UL);
        host.Enter(1, ref leases[0]).ShouldBe(VmidResult.Ok);
        host.Allocator.VmidOf(in leases[0]).Value.ShouldBe((ushort)1);
        host.Allocator.VmidOf(in leases[3]).Value.ShouldBe((ushort)2);
        host.Invalidations.ShouldBe(1);
    }

    /// <summary>
    /// The model is the TLBs: who used each number last, on any PE, since an invalidation that covers it. Loading a
    /// number whose entries belong to another VM is the bug, and so is a number that two VMs run on at a time.
    /// </summary>
    private static void Run(uint[] program, int bits, int pes, ulong? generation = null)
    {
        var host = new Host(bits, pes);
        ref ulong start = ref Generation(ref host.Allocator);
        start = generation ?? start;
        const int vms = 12;
        var leases = new VmidLease[vms];
        int[] life = Enumerable.Range(0, vms).ToArray();
        int nextLife = vms;
        int[] running = Enumerable.Repeat(-1, pes).ToArray();
        ushort[] loaded = new ushort[pes];
        var cached = new Dictionary<ushort, HashSet<int>>();
        host.OnInvalidate = () =>
        {
            cached.Clear();
            // A running guest refills at once.
            for (int pe = 0; pe < pes; pe++)
            {
                if (running[pe] >= 0)
                {
                    Fill(loaded[pe], life[running[pe]]);
                }
            }
        };

        foreach (uint step in program)
        {
            var choices = new Choices(step);
            int pe = choices.Below(pes);
            int vm = choices.Below(vms);
            switch (choices.Below(8))
            {
                case < 4:
                    // Without Leave, as a PE that goes from one guest to the next; and re-entry of the same.
                    if (running[pe] >= 0 && choices.Maybe())
                    {
                        host.Leave(pe);
                    }

                    running[pe] = -1;
                    VmidResult entered = host.Enter(pe, ref leases[vm]);
                    if (entered == VmidResult.Exhausted)
                    {
                        running.Where(other => other >= 0).Distinct().Count()
                            .ShouldBeGreaterThanOrEqualTo(Math.Min((1 << bits) - 1, pes) - 1);
                        host.Leave(pe);
                        break;
                    }

                    ushort number = host.Allocator.VmidOf(in leases[vm]).Value;
                    number.ShouldBeInRange((ushort)1, (ushort)((1 << bits) - 1));
                    running[pe] = vm;
                    loaded[pe] = number;
                    Fill(number, life[vm]);
                    break;
                case < 6:
                    host.Leave(pe);
                    running[pe] = -1;
                    break;
                default:
                    for (int other = 0; other < pes; other++)
                    {
                        if (running[other] == vm)
                        {
                            host.Retire(ref leases[vm]).ShouldBe(VmidResult.StillActive);
                            host.Leave(other);
                            running[other] = -1;
                        }
                    }

                    if (choices.Maybe() && host.Allocator.VmidOf(in leases[vm]).Value != 0)
                    {
                        // Its own VMALLS12E1IS, before the number is retired. A stale number may be another's by
                        // now: invalidating that is harmless.
                        ushort old = host.Allocator.VmidOf(in leases[vm]).Value;
                        if (cached.TryGetValue(old, out HashSet<int>? users))
                        {
                            users.Remove(life[vm]);
                        }

                        host.Retire(ref leases[vm]).ShouldBe(VmidResult.Ok);
                    }
                    else
                    {
                        Host.Abandon(ref leases[vm]);
                    }

                    life[vm] = nextLife++;
                    break;
            }

            for (int one = 0; one < pes; one++)
            {
                for (int other = 0; other < one; other++)
                {
                    bool bothRun = running[one] >= 0 && running[other] >= 0;
                    (bothRun && running[one] != running[other] && loaded[one] == loaded[other]).ShouldBeFalse();
                }
            }
        }

        void Fill(ushort number, int owner)
        {
            if (!cached.TryGetValue(number, out HashSet<int>? owners))
            {
                cached[number] = owners = [];
            }

            owners.Add(owner);
            owners.Count.ShouldBe(1, "a number was given again before an invalidation covered its last owner");
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_generation")]
    private static extern ref ulong Generation(ref VmidAllocator allocator);

    private sealed class Host
    {
        internal VmidAllocator Allocator;
        private Invalidator _machine;

        internal Host(int bits, int pes)
        {
            Allocator.Initialize(
                bits, Words(VmidAllocator.BitmapWords(bits)), Words(pes), Words(pes))
                .ShouldBe(VmidResult.Ok);
            _machine = new Invalidator(this);
        }

        internal int Invalidations { get; set; }

        internal Action? OnInvalidate { get; set; }

        internal VmidResult Enter(int pe, ref VmidLease lease) => Allocator.Enter(pe, ref lease, ref _machine);

        internal void Leave(int pe) => Allocator.Leave(pe);

        internal VmidResult Retire(ref VmidLease lease) => Allocator.Retire(ref lease);

        internal static void Abandon(ref VmidLease lease) => VmidAllocator.Abandon(ref lease);

        private static UnmanagedArray<ulong> Words(int count) => new Pinned<ulong>(count).Array;
    }

    private readonly struct Invalidator(Host host) : IVmidInvalidation
    {
        public void InvalidateAllVmids()
        {
            host.Invalidations++;
            host.OnInvalidate?.Invoke();
        }
    }
}
