using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Stage2;
using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>Every cell of the elision table, against the table as it is written down for people.</summary>
public class ElisionTests
{
    private const UnmapFlags Both = UnmapFlags.ElideCacheMaintenance | UnmapFlags.ElideTlbInvalidation;

    // What each policy elides, by operation:  -  nothing   C  caches   B  caches and TLB
    //                                         E  caches if the event is Unmap
    //                                         F  caches if the fate allows it   G  both if the fate allows it
    private static readonly Dictionary<MaintenancePolicy, string> Table = new()
    {
        //                                  notifier, slot, block, release
        [MaintenancePolicy.BeforeSeries] = "----",
        [MaintenancePolicy.Patch5] = "---B",
        [MaintenancePolicy.Patch6] = "--C-",
        [MaintenancePolicy.Patch7] = "E---",
        [MaintenancePolicy.Series] = "E-CB",
        [MaintenancePolicy.TablesOnly] = "FFCG",
        [MaintenancePolicy.Fate] = "FFCG",
    };

    // When a fate allows it without FWB:  y  always   n  never   c  when the guest cannot go past the caches
    //                                     e  always, but from a notifier only for events that free pages
    private static readonly Dictionary<PageFate, char> Fates = new()
    {
        [PageFate.Unknown] = 'n',
        [PageFate.AnonymousLastMappingFreed] = 'e',
        [PageFate.FileBacked] = 'c',
        [PageFate.StillMappedElsewhere] = 'c',
        [PageFate.KeptByRemap] = 'c',
        [PageFate.CopiedToNewFrame] = 'c',
        [PageFate.SwappedToNonSnoopingDevice] = 'n',
        [PageFate.StaysInPlace] = 'c',
    };

    [Fact]
    public void Every_cell_of_the_table_holds()
    {
        int cells = 0;
        foreach (MaintenancePolicy policy in Enum.GetValues<MaintenancePolicy>())
        {
            foreach (UnmapOperation operation in Enum.GetValues<UnmapOperation>())
            {
                foreach (NotifierEvent why in Enum.GetValues<NotifierEvent>())
                {
                    foreach (PageFate fate in Enum.GetValues<PageFate>())
                    {
                        for (int bits = 0; bits < 4; bits++)
                        {
                            bool fwb = (bits & 1) != 0;
                            bool uncached = (bits & 2) != 0;
                            UnmapFlags flags = Elision.For(
                                policy, operation, why, new ElisionFacts(fate, fwb, uncached));
                            flags.ShouldBe(
                                Expected(policy, operation, why, fate, fwb, uncached),
                                $"{policy} {operation} {why} {fate} fwb={fwb} uncached={uncached}");
                            cells++;
                        }
                    }
                }
            }
        }

        cells.ShouldBe(7 * 4 * 7 * 8 * 4);
    }

    [Fact]
    public void The_table_names_every_policy_and_every_fate()
    {
        Table.Keys.Order().ShouldBe(Enum.GetValues<MaintenancePolicy>().Order());
        Fates.Keys.Order().ShouldBe(Enum.GetValues<PageFate>().Order());
    }

    [Theory]
    [InlineData(NotifierEvent.Unmap, PageFate.FileBacked)]
    [InlineData(NotifierEvent.Unmap, PageFate.KeptByRemap)]
    [InlineData(NotifierEvent.Unmap, PageFate.StillMappedElsewhere)]
    [InlineData(NotifierEvent.Unmap, PageFate.SwappedToNonSnoopingDevice)]
    public void Patch_7_elides_where_fate_maintains(NotifierEvent why, PageFate fate)
    {
        var facts = new ElisionFacts(fate, false, true);
        Elision.For(MaintenancePolicy.Patch7, UnmapOperation.NotifierRange, why, facts)
            .ShouldBe(UnmapFlags.ElideCacheMaintenance);
        Elision.For(MaintenancePolicy.Fate, UnmapOperation.NotifierRange, why, facts).ShouldBe(UnmapFlags.None);
    }

    [Fact]
    public void No_operation_on_a_live_vm_elides_the_tlb()
    {
        foreach (MaintenancePolicy policy in Enum.GetValues<MaintenancePolicy>())
        {
            foreach (PageFate fate in Enum.GetValues<PageFate>())
            {
                foreach (UnmapOperation operation in Enum.GetValues<UnmapOperation>())
                {
                    UnmapFlags flags = Elision.For(
                        policy, operation, NotifierEvent.Unmap, new ElisionFacts(fate, true, false));
                    (operation == UnmapOperation.Release || (flags & UnmapFlags.ElideTlbInvalidation) == 0)
                        .ShouldBeTrue();
                }
            }
        }
    }

    private static UnmapFlags Expected(
        MaintenancePolicy policy, UnmapOperation operation, NotifierEvent why, PageFate fate, bool fwb, bool uncached)
    {
        char fateAllows = Fates[fate];
        bool allowed = fwb
            || fateAllows == 'y'
            || (fateAllows == 'c' && !uncached)
            || (fateAllows == 'e'
                && (operation != UnmapOperation.NotifierRange || why is NotifierEvent.Unmap or NotifierEvent.Clear));
        int column = operation switch
        {
            UnmapOperation.NotifierRange => 0,
            UnmapOperation.SlotRemoval => 1,
            UnmapOperation.BlockRetry => 2,
            _ => 3,
        };
        return Table[policy][column] switch
        {
            'C' => UnmapFlags.ElideCacheMaintenance,
            'B' => Both,
            'E' => why == NotifierEvent.Unmap ? UnmapFlags.ElideCacheMaintenance : UnmapFlags.None,
            'F' => allowed ? UnmapFlags.ElideCacheMaintenance : UnmapFlags.None,
            'G' => allowed ? Both : UnmapFlags.None,
            _ => UnmapFlags.None,
        };
    }
}
