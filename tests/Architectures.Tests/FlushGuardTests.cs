using Quietus.Memory;
using Quietus.Simulator;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Architectures.Tests;

/// <summary>
/// Freeing before the flush is complete is a violation everywhere: the rule that watches the other tests can fail.
/// </summary>
public sealed class FlushGuardTests
{
    private const ulong Ram = 1UL << 30;
    private const ulong Frame = 1UL << 21;

    public static TheoryData<string> Machines => Presets.All;

    [Theory]
    [MemberData(nameof(Machines))]
    public void A_host_that_goes_on_without_the_flush_that_is_owed_is_caught(string name)
    {
        foreach (MaintenancePolicy policy in Architecture.Of(Presets.Named(name)).Offered(Presets.Named(name)))
        {
            FlushGuard guard = new();
            GuestHook hook = Filled(name, policy, guard);
            hook.BeginNotify(Range(NotifierEvent.Unmap), out bool owes).ShouldBe(MemoryResult.Ok);
            hook.EndNotify();

            (guard.Violations.Count != 0).ShouldBe(owes, $"{name} {policy}");
        }
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void A_frame_that_is_freed_before_the_flush_is_caught_and_after_it_is_not(string name)
    {
        foreach (bool isFlushed in new[] { false, true })
        {
            FlushGuard guard = new();
            GuestHook hook = Filled(name, MaintenancePolicy.Fate, guard);
            hook.BeginNotify(Range(NotifierEvent.Unmap), out bool owes);
            if (isFlushed && owes)
            {
                hook.FlushRemote();
            }

            guard.FreedPage(new Pa(Frame), 1UL << 21);

            (guard.Violations.Count != 0).ShouldBe(owes && !isFlushed, name);
        }
    }

    // Copy-on-write goes wrong where a core still writes the page that the child sees.
    [Theory]
    [InlineData("xeon")]
    [InlineData("power9")]
    [InlineData("power9-hpt")]
    [InlineData("e500mc")]
    [InlineData("mips-vz")]
    public void A_page_that_may_still_be_written_is_caught(string name)
    {
        FlushGuard guard = new();
        GuestHook hook = Filled(name, MaintenancePolicy.Fate, guard);
        hook.BeginNotify(
            new NotifierRange(
                new Ipa(Ram), new Ipa(Ram + (1UL << 21)), NotifierEvent.ProtectionPage, true, PageFate.StaysInPlace),
            out bool owes);
        owes.ShouldBeTrue();
        hook.EndNotify();

        guard.Violations.ShouldNotBeEmpty();
        hook.IsMapped(new Ipa(Ram), AccessKind.Read).ShouldBeTrue();
        hook.IsMapped(new Ipa(Ram), AccessKind.Write).ShouldBeFalse();
    }

    [Fact]
    public void A_table_that_is_given_back_before_the_flush_is_caught()
    {
        FlushGuard guard = new();
        TablePages pages = new(1UL << 45, false);
        HookWorld world = new(pages, new HookMeter(), guard, 64);
        world.Unlinked(pages.Take(), 1);
        world.GiveBack();
        guard.Violations.ShouldHaveSingleItem().ShouldContain("table");

        world.Unlinked(pages.Take(), 1);
        guard.Flushed();
        world.GiveBack();
        guard.Violations.ShouldHaveSingleItem();
    }

    [Fact]
    public void A_flush_of_one_page_covers_no_other()
    {
        FlushGuard guard = new();
        guard.MayBeStale(0x1000, 0x8000, 4096);
        guard.MayBeStale(0x2000, 0x9000, 4096);
        guard.Flushed(0x1000, 4096);
        guard.FreedPage(new Pa(0x8000), 4096);
        guard.Violations.ShouldBeEmpty();
        guard.FreedPage(new Pa(0x9000), 4096);
        guard.Violations.ShouldHaveSingleItem();
    }

    private static NotifierRange Range(NotifierEvent why) => new(
        new Ipa(Ram), new Ipa(Ram + (1UL << 21)), why, true, PageFate.AnonymousLastMappingFreed);

    /// <summary>A guest with 2 MB, all of it mapped by base pages.</summary>
    private static GuestHook Filled(string name, MaintenancePolicy policy, FlushGuard guard)
    {
        MachinePreset machine = Presets.Named(name);
        GuestHook hook = Architecture.Make(new GuestOptions(machine, policy, 2, guard) { BasePagesOnly = true });
        hook.AddSlot(new Ipa(Ram), 1UL << 21, PageFate.AnonymousLastMappingFreed);
        ulong page = (ulong)machine["base_page"];
        for (ulong at = 0; at < 1UL << 21; at += page)
        {
            FaultResult result = hook.LargestLeaf == 3
                ? hook.MapHostPage(new Ipa(Ram + at), new Pa(Frame + at), 3, AccessKind.Write, true)
                : page == 4096
                    ? hook.MapHostPage(new Ipa(Ram + at), new Pa(Frame + at), 3, AccessKind.Write, true)
                    : hook.MapHostPage(new Ipa(Ram + at), new Pa(Frame), 2, AccessKind.Write, true);
            result.ShouldBe(FaultResult.Mapped);
        }

        return hook;
    }
}
