using System;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// What each policy issues when a VM dies, counted where it is issued: the definitions of docs/elision.md, on the
/// machine.
/// </summary>
public sealed class DeathCostTests
{
    private const long LinesPerPage = 64;
    private const long LinesPerBlock = 512 * LinesPerPage;

    /// <summary>Level 3 tables that empty under a VM of 64 MB, and those above them.</summary>
    private const long MostTables = 48;

    public static TheoryData<string, string, string> Deaths()
    {
        var data = new TheoryData<string, string, string>();
        foreach (MaintenancePolicy policy in MaintenancePolicy.All)
        {
            data.Add("cortex-a72", policy.Name, "4k");
            data.Add("cortex-a72", policy.Name, "2m");
            data.Add("max", policy.Name, "4k");
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Deaths))]
    public async Task A_death_issues_what_its_policy_says(string cpu, string policy, string pages)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        bool forcedWriteBack = (await machine.AskAsync("machine")).Number("s2fwb") == 1;

        TestVm vm = await machine.RunAsync("fill=40M touch=page", pages: pages, policy: policy);
        await vm.DirtiedAsync();
        DeathFigures killed = await vm.KillAsync();
        ShouldHaveMapped(killed, pages);
        bool whole = policy is "patch5" or "series" or "tables-only" or "fate";
        killed.DcLines.ShouldBe(whole || forcedWriteBack ? 0 : Lines(killed));
        killed.TlbiVmid.ShouldBe(whole ? 1 : 0);
        killed.TlbiRange.ShouldBe(0);
        if (whole)
        {
            killed.TlbiIpa.ShouldBe(0);
            killed.TlbiVmalle1.ShouldBe(0);
        }
        else
        {
            ShouldBeEager(killed);
        }

        vm = await machine.RunAsync("fill=40M touch=page", pages: pages, policy: policy);
        await vm.DirtiedAsync();
        DeathFigures unmapped = await vm.UnmapAsync();
        ShouldHaveMapped(unmapped, pages);
        bool elides = policy is "patch7" or "series" or "tables-only" or "fate";
        unmapped.DcLines.ShouldBe(elides || forcedWriteBack ? 0 : Lines(unmapped));
        if (policy is "tables-only" or "fate")
        {
            long all = unmapped.TlbiIpa + unmapped.TlbiRange + unmapped.TlbiVmid;
            all.ShouldBeInRange(1, MostTables);
        }
        else
        {
            ShouldBeEager(unmapped);
        }

        DeathFigures after = await vm.KillAsync();
        (after.MappedPages4K + after.MappedBlocks2M).ShouldBe(0);
        after.DcLines.ShouldBe(0);
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task A_death_by_fate_costs_the_same_however_big_the_VM_is(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(
            cpu, memory: 1280 * ByteSize.Megabyte, counts: true);
        await KillFullAsync(machine, 64, "4k", "fate");
        DeathFigures? first = null;
        foreach (string pages in new[] { "4k", "2m" })
        {
            foreach (int megabytes in new[] { 64, 256, 1024 })
            {
                DeathFigures death = await KillFullAsync(machine, megabytes, pages, "fate");
                first ??= death;
                death.Instructions.ShouldBeInRange(100, 3000);
                Math.Abs(death.Instructions - first.Instructions).ShouldBeLessThanOrEqualTo(first.Instructions / 50);
                (death.TlbiVmid, death.TlbiIpa, death.TlbiRange, death.TlbiVmalle1).ShouldBe((1, 0, 0, 0));
                death.DcLines.ShouldBe(0);
            }
        }

        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Unmapping_a_live_VM_by_fate_takes_15_instructions_a_page_and_one_invalidation(string cpu)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        TestVm vm = await machine.RunAsync("fill=240M touch=page", 256 * ByteSize.Megabyte);
        await vm.PrintedAsync("done");
        DeathFigures unmapped = await vm.UnmapAsync();
        unmapped.MappedPages4K.ShouldBeGreaterThan(60_000);
        unmapped.Instructions.ShouldBeLessThanOrEqualTo(15 * unmapped.MappedPages4K);
        unmapped.DcLines.ShouldBe(0);
        (unmapped.TlbiIpa + unmapped.TlbiRange + unmapped.TlbiVmid + unmapped.TlbiVmalle1)
            .ShouldBeInRange(1, unmapped.MappedPages4K / 512);
        unmapped.FreedBytes.ShouldBeGreaterThanOrEqualTo(240 * ByteSize.Megabyte);
        await vm.KillAsync();

        vm = await machine.RunAsync("fill=240M touch=page", 256 * ByteSize.Megabyte, pages: "2m");
        await vm.PrintedAsync("done");
        DeathFigures blocks = await vm.UnmapAsync();
        await vm.KillAsync();
        vm = await machine.RunAsync("fill=48M touch=page", pages: "2m");
        await vm.PrintedAsync("done");
        DeathFigures fewer = await vm.UnmapAsync();
        await vm.KillAsync();
        long more = blocks.MappedBlocks2M - fewer.MappedBlocks2M;
        more.ShouldBeGreaterThan(90);
        (blocks.Instructions - fewer.Instructions).ShouldBeLessThanOrEqualTo(60 * more);
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72", LinesPerPage, 150)]
    [InlineData("max", 0, 15)]
    public async Task Pages_of_unknown_fate_are_cleaned_line_by_line_unless_every_access_is_cacheable(
        string cpu, long linesPerPage, long instructionsPerPage)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        TestVm vm = await machine.RunAsync("fill=240M touch=page", 256 * ByteSize.Megabyte);
        await vm.PrintedAsync("done");
        DeathFigures pages = await vm.UnmapAsync("unknown");
        await vm.KillAsync();
        pages.MappedPages4K.ShouldBeGreaterThan(60_000);
        pages.DcLines.ShouldBe(linesPerPage * pages.MappedPages4K);
        pages.Instructions.ShouldBeLessThanOrEqualTo(instructionsPerPage * pages.MappedPages4K);
        (pages.TlbiIpa + pages.TlbiRange + pages.TlbiVmid + pages.TlbiVmalle1)
            .ShouldBeInRange(1, pages.MappedPages4K / 512);
        pages.FreedBytes.ShouldBeGreaterThanOrEqualTo(240 * ByteSize.Megabyte);

        vm = await machine.RunAsync("fill=240M check=zero touch=page", 256 * ByteSize.Megabyte, pages: "2m");
        await vm.PrintedAsync("done");
        DeathFigures blocks = await vm.UnmapAsync("unknown");
        await vm.KillAsync();
        blocks.MappedBlocks2M.ShouldBeGreaterThanOrEqualTo(120);
        blocks.DcLines.ShouldBe(linesPerPage * 512 * blocks.MappedBlocks2M);
        blocks.Instructions.ShouldBeLessThanOrEqualTo(instructionsPerPage * 512 * blocks.MappedBlocks2M);
        await machine.ShouldBeUnharmedAsync();
    }

    [Theory]
    [InlineData("cortex-a72", 64 * 512)]
    [InlineData("max", 0)]
    public async Task Scrubbing_zeroes_a_page_in_90_instructions_and_a_fault_from_clean_memory_takes_320(
        string cpu, long linesPerChunk)
    {
        await using TestMachine machine = await TestMachine.BootAsync(cpu, counts: true);
        await machine.AskAsync("scrub");
        await KillFullAsync(machine, 64, "4k", "fate");
        KeyValueLine scrubbed = await machine.AskAsync("scrub");
        long chunks = scrubbed.Number("scrubbed_chunks");
        chunks.ShouldBeInRange(24, 40);
        scrubbed.Number("scrub_zero_instructions").ShouldBeInRange(1, chunks * 512 * 90);
        scrubbed.Number("scrub_clean_instructions").ShouldBeInRange(1, chunks * 512 * 135);
        scrubbed.Number("scrub_dc_lines").ShouldBe(chunks * linesPerChunk);
        (await machine.AskAsync("memory")).Number("chunks_dirty").ShouldBe(0);

        TestVm vm = await machine.RunAsync("measure=fault");
        const long FirstTouch = 5;
        (await vm.ReportedAsync(FirstTouch)).ShouldBeInRange(100_000, 320_000);
        await vm.KillAsync();
        await machine.ShouldBeUnharmedAsync();
    }

    internal static async Task<DeathFigures> KillFullAsync(
        TestMachine machine, int megabytes, string pages, string policy)
    {
        TestVm vm = await machine.RunAsync(
            $"fill={megabytes - 16}M touch=page", megabytes * ByteSize.Megabyte, pages: pages, policy: policy);
        await vm.DirtiedAsync();

        // After its last word it sleeps: from then on nothing but the order happens on the machine.
        await vm.PrintedAsync("done");
        return await vm.KillAsync();
    }

    private static void ShouldHaveMapped(DeathFigures figures, string pages)
    {
        figures.MappedPages4K.ShouldBeInRange(pages == "4k" ? 10240 : 0, pages == "4k" ? 16384 : 0);
        figures.MappedBlocks2M.ShouldBeInRange(pages == "4k" ? 0 : 20, pages == "4k" ? 0 : 32);
    }

    private static long Lines(DeathFigures figures) =>
        (figures.MappedPages4K * LinesPerPage) + (figures.MappedBlocks2M * LinesPerBlock);

    /// <summary>Each leaf and each emptied table is invalidated by itself, and combined entries each time.</summary>
    private static void ShouldBeEager(DeathFigures figures)
    {
        figures.TlbiIpa.ShouldBeInRange(figures.Entries + 1, figures.Entries + MostTables);
        figures.TlbiVmalle1.ShouldBe(figures.TlbiIpa);
        figures.TlbiVmid.ShouldBe(0);
        figures.Dsb.ShouldBeGreaterThan(2 * figures.Entries);
    }
}
