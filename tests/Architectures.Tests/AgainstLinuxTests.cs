using System.Linq;
using Quietus.Memory;
using Quietus.Simulator;
using Shouldly;
using Xunit;

namespace Quietus.Architectures.Tests;

/// <summary>Event by event: what is left out is left out, and nothing else is added.</summary>
public sealed class AgainstLinuxTests
{
    private const ulong Bytes = 16UL << 20;

    public static TheoryData<string, HookEvent> Cases
    {
        get
        {
            TheoryData<string, HookEvent> cases = [];
            foreach (string name in Presets.Names)
            {
                foreach (HookEvent what in System.Enum.GetValues<HookEvent>())
                {
                    if (what != HookEvent.SwapOut || Presets.Named(name)["base_page"] == 4096)
                    {
                        cases.Add(name, what);
                    }
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Series_and_fate_never_visit_or_flush_more_than_linux_5_5(string name, HookEvent what)
    {
        MachinePreset machine = Presets.Named(name);
        HookBill before = Run(machine, what, MaintenancePolicy.BeforeSeries);
        foreach (MaintenancePolicy policy in Architecture.Of(machine).Offered(machine))
        {
            HookBill now = Run(machine, what, policy);

            foreach (HookOperation operation in new[]
            {
                HookOperation.Visit, HookOperation.Ipi, HookOperation.CacheAll, HookOperation.CacheLine,
                HookOperation.FlushWait, HookOperation.TableFree,
            })
            {
                // Empty tables are given back at once, not at the end: it is 5.5 that keeps them.
                if (operation == HookOperation.TableFree && what != HookEvent.Exit)
                {
                    continue;
                }

                now[operation].ShouldBeLessThanOrEqualTo(before[operation], $"{policy}: {operation}");
            }

            Flushes(now).ShouldBeLessThanOrEqualTo(Flushes(before), $"{policy}: flushes");
        }
    }

    [Theory]
    [InlineData("e500mc")]
    [InlineData("mips-vz")]
    public void Memory_that_is_not_the_guest_s_costs_it_nothing_any_more(string name)
    {
        MachinePreset machine = Presets.Named(name);

        Flushes(Run(machine, HookEvent.Elsewhere, MaintenancePolicy.BeforeSeries)).ShouldBe(2);
        Flushes(Run(machine, HookEvent.Elsewhere, MaintenancePolicy.Series)).ShouldBe(0);
        Flushes(Run(machine, HookEvent.Elsewhere, MaintenancePolicy.Fate)).ShouldBe(0);
    }

    [Fact]
    public void On_lpae_each_page_cost_a_flush_of_the_whole_VMID()
    {
        MachinePreset machine = Presets.Named("arm32");
        HookBill before = Run(machine, HookEvent.Munmap, MaintenancePolicy.BeforeSeries);
        HookBill fate = Run(machine, HookEvent.Munmap, MaintenancePolicy.Fate);

        // 4,096 pages, 8 tables of the last level, and the one above them.
        before[HookOperation.FlushGuest].ShouldBe(4096 + 8 + 1);
        before[HookOperation.CacheLine].ShouldBe(4096 * 64);
        fate[HookOperation.FlushGuest].ShouldBe(1);
        fate[HookOperation.CacheLine].ShouldBe(0);
    }

    [Fact]
    public void On_power9_each_page_cost_a_tlbie_and_now_one_pays_for_all()
    {
        MachinePreset machine = Presets.Named("power9");
        HookBill before = Run(machine, HookEvent.Munmap, MaintenancePolicy.BeforeSeries);
        HookBill fate = Run(machine, HookEvent.Munmap, MaintenancePolicy.Fate);

        before[HookOperation.FlushPage].ShouldBe(256);
        before[HookOperation.FlushWait].ShouldBe(256);
        (fate[HookOperation.FlushPage], fate[HookOperation.FlushGuest], fate[HookOperation.FlushWait])
            .ShouldBe((0L, 1L, 1L));
    }

    // The RFC of 2023 filters by event; that a page is freed is what asks for it, not what spares it.
    [Fact]
    public void With_SEV_the_caches_are_written_back_unless_the_pages_stay()
    {
        MachinePreset machine = Presets.Named("epyc-sev");
        foreach (MaintenancePolicy policy in new[]
            { MaintenancePolicy.Patch7, MaintenancePolicy.Series, MaintenancePolicy.Fate })
        {
            CachesAt(policy, HookEvent.Mprotect).ShouldBe(0);
            CachesAt(policy, HookEvent.Fork).ShouldBe(0);
            CachesAt(policy, HookEvent.Munmap).ShouldBe(1);
            CachesAt(policy, HookEvent.Mremap).ShouldBe(1);
            CachesAt(policy, HookEvent.Madvise).ShouldBe(1);
            CachesAt(policy, HookEvent.Exit).ShouldBe(1);
        }

        CachesAt(MaintenancePolicy.BeforeSeries, HookEvent.Mprotect).ShouldBe(1);
        CachesAt(MaintenancePolicy.BeforeSeries, HookEvent.Fork).ShouldBe(1);

        long CachesAt(MaintenancePolicy policy, HookEvent what) => Run(machine, what, policy)[HookOperation.CacheAll];
    }

    // mprotect to PROT_NONE has the same event: what stays mapped would stay readable.
    [Fact]
    public void Mprotect_unmaps_where_copy_on_write_protects_in_place()
    {
        foreach (string name in new[] { "xeon", "power9", "power9-hpt", "mips-vz", "e500mc", "power9-pr" })
        {
            MachinePreset machine = Presets.Named(name);
            Run(machine, HookEvent.Mprotect, MaintenancePolicy.Fate)[HookOperation.Unlink].ShouldBeGreaterThan(0);
            HookBill fork = Run(machine, HookEvent.Fork, MaintenancePolicy.Fate);
            fork[HookOperation.Unlink].ShouldBe(0);
            fork[HookOperation.Write].ShouldBeGreaterThan(0);
        }
    }

    [Fact]
    public void A_death_under_fate_takes_the_same_for_every_size()
    {
        foreach (string name in Presets.Names.Where(static name => name != "power9-pr"))
        {
            MachinePreset machine = Presets.Named(name);
            ArchitectureResult small = Die(machine, Bytes / 8);
            ArchitectureResult large = Die(machine, Bytes);

            large.Nanoseconds.ShouldBe(small.Nanoseconds, name);
        }
    }

    private static ArchitectureResult Die(MachinePreset machine, ulong bytes) => ArchitectureRun.Die(
        Request(machine, MaintenancePolicy.Fate) with { MemoryBytes = bytes },
        isChecked: true, TestContext.Current.CancellationToken);

    private static HookBill Run(MachinePreset machine, HookEvent what, MaintenancePolicy policy)
    {
        ArchitectureResult result = ArchitectureRun.Do(
            what, Request(machine, policy), isChecked: true, TestContext.Current.CancellationToken);
        result.Violations.ShouldBeEmpty();
        return result.Bill;
    }

    private static SimulationRequest Request(MachinePreset machine, MaintenancePolicy policy) => new()
    {
        Machine = machine,
        MemoryBytes = Bytes,
        Pages = Presets.BasePagesOf(machine),
        Policy = policy,
        Vcpus = 2,
    };

    private static long Flushes(HookBill bill) => bill[HookOperation.FlushPage] + bill[HookOperation.FlushGuest];
}
