using System.Collections.Generic;
using System.Linq;
using Shouldly;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>
/// What a birth issues on a simulated server is what fork.md says of it, and what the image counts (BirthCostTests).
/// </summary>
public sealed class BirthTests
{
    private const long LinesPerPage = 64;

    [Theory]
    [InlineData("d05", false)]
    [InlineData("d05", true)]
    [InlineData("modern", false)]
    [InlineData("modern", true)]
    public void A_birth_copies_nothing_and_a_write_copies_its_page_and_the_path_to_it(string name, bool isByBlocks)
    {
        MachinePreset machine = Machines.Named(name);
        long cleaned = machine.HasForcedWriteBack ? 0 : LinesPerPage;
        BirthResult result = Run(new BirthRequest(machine, 64 << 20, isByBlocks, Vcpus: 1));
        Dictionary<BirthStepKind, OperationCounts> steps =
            result.Steps.ToDictionary(step => step.Kind, step => step.Bill.Counts);
        (result.MappedPages4K, result.MappedBlocks2M).ShouldBe(isByBlocks ? (0, 32) : (16384, 0));
        result.ReadFaults.ShouldBe(0);

        // One invalidation of the VMID, and what its memory has of lines where a guest may write past the caches.
        Issued(steps[BirthStepKind.Freeze]).ShouldBe((1, 0, 0, 0));
        steps[BirthStepKind.Freeze].DcLines.ShouldBe(16384 * cleaned);

        // A root (two tables of 40 bits), and no other table and no page.
        Issued(steps[BirthStepKind.Birth]).ShouldBe((0, 0, 0, 0));
        steps[BirthStepKind.Birth].TablesTaken.ShouldBe(2);
        steps[BirthStepKind.Birth].DcLines.ShouldBe(0);

        // The path is copied as far down as it is shared; a block becomes a table of pages.
        foreach ((BirthStepKind step, long tables) in ((BirthStepKind, long)[])[
            (BirthStepKind.WriteFirstInGigabyte, 2), (BirthStepKind.WriteFirstInBlock, 1), (BirthStepKind.Write, 0)])
        {
            OperationCounts write = steps[step];
            Issued(write).ShouldBe((0, 1, 1, 1), step.ToString());
            write.TablesTaken.ShouldBe(tables, step.ToString());
            write.DcLines.ShouldBe(cleaned, step.ToString());
            write.Faults.ShouldBe(1, step.ToString());
        }

        // A death and a birth: one invalidation each at most, and nothing for each page that was written.
        Issued(steps[BirthStepKind.Reset]).ShouldBe((1, 0, 0, 0));
        steps[BirthStepKind.Reset].DcLines.ShouldBe(0);
        steps[BirthStepKind.Reset].TablesFreed.ShouldBe(0);
        Issued(steps[BirthStepKind.Kill]).ShouldBe((1, 0, 0, 0));
        steps[BirthStepKind.Kill].EntryReads.ShouldBe(0);
    }

    [Fact]
    public void A_birth_and_all_that_follows_take_the_same_for_every_size()
    {
        MachinePreset machine = Machines.Named("d05");
        BirthResult small = Run(new BirthRequest(machine, 64 << 20, false, 1));
        BirthResult large = Run(new BirthRequest(machine, 1 << 30, false, 1));
        foreach ((BirthStep one, BirthStep other) in small.Steps.Zip(large.Steps).Skip(1))
        {
            other.ShouldBe(one);
        }

        // The freeze alone goes by pages.
        ((double)large.Steps[0].Bill.Counts.DcLines / small.Steps[0].Bill.Counts.DcLines).ShouldBe(16);
    }

    [Fact]
    public void What_is_no_template_is_refused()
    {
        MachinePreset machine = Machines.Named("d05");
        Should.Throw<SimulationException>(() => Run(new BirthRequest(machine, 6 << 20, false, 1)));
        Should.Throw<SimulationException>(() => Run(new BirthRequest(machine, 16UL << 30, false, 1)));
        Should.Throw<SimulationException>(() => Run(new BirthRequest(machine, 64 << 20, false, 65)));
        var server = new SimulatedServer(machine, 16 << 20);
        Should.Throw<SimulationException>(() => new SimulatedVm(server, Memory.MaintenancePolicy.Fate).Fork());
    }

    private static BirthResult Run(BirthRequest request) =>
        BirthSimulation.Run(request, TestContext.Current.CancellationToken);

    /// <summary>Invalidations of the VMID, of an address, of combined entries, and pages copied.</summary>
    private static (long, long, long, long) Issued(OperationCounts counts) =>
        (counts.TlbiVmid, counts.TlbiIpa, counts.TlbiVmalle1, counts.PagesCopied);
}
