using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Cli.Bench;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Wire;

namespace Quietus.Cli.Births;

/// <summary>One boot of a KVM host, in which children of one snapshot are measured.</summary>
internal sealed record KvmBirthsCase(long MemoryBytes)
{
    /// <summary>How many pages a child writes.</summary>
    public const int Writes = 4096;

    /// <summary>The kernel's command line; what the probe is to measure is in it.</summary>
    public string Append => KvmKernel.CommandLine(
        hasTransparentPages: true,
        string.Create(
            CultureInfo.InvariantCulture,
            $"memory={MemoryBytes} fill={BirthsRunner.FillBytes(MemoryBytes)} pages=4k writes={Writes}"));

    public override string ToString() => $"kvm {ByteSize.FormatOption(MemoryBytes)}";
}

/// <summary>One measurement of the probe: pages that were touched, and instructions of all processors.</summary>
internal sealed record KvmBirthsRow(
    KvmBirthsCase Case, KvmBirthWay Way, long Pages, long Instructions, long VirtualNanoseconds);

/// <summary>What the KVM side has found, with what is needed to repeat it.</summary>
internal sealed record KvmBirthsResult
{
    public required string KernelRelease { get; init; }

    public required string Package { get; init; }

    /// <summary>SHA-256 of the probe's ELF file, in lower-case hex.</summary>
    public required string ProbeSha256 { get; init; }

    /// <summary>QEMU's command line of the first boot.</summary>
    public required string QemuCommand { get; init; }

    /// <summary>What measuring nothing costs: it is in every figure.</summary>
    public required long EmptyInstructions { get; init; }

    public required IReadOnlyList<KvmBirthsRow> Rows { get; init; }
}

/// <summary>The figures of <see cref="KvmBirthsComparison"/> of a child whose faults a process answers.</summary>
internal sealed record KvmServedChild(long Birth, long ReadAll, double Write, double WriteAfterRead, long End);

/// <summary>
/// Children of one size on both sides, in instructions. What the guest itself takes to touch its pages is left out of
/// KVM's reads and writes: the same loop over pages that are there.
/// </summary>
/// <param name="Ours">Quietus, the filler by 4K pages.</param>
/// <param name="Birth">KVM: one vCPU, its core registers, no device.</param>
/// <param name="BirthWhole">KVM: with an interrupt controller and every register.</param>
/// <param name="ReadAll">KVM: the faults of a read of all memory.</param>
/// <param name="ReadPages">So many pages were read.</param>
/// <param name="Write">KVM: the first write to a page, per page.</param>
/// <param name="WriteAfterRead">KVM: the same when it was read before.</param>
/// <param name="End">KVM: closing the child and unmapping its memory.</param>
/// <param name="Served">KVM: a child whose pages another process gives.</param>
internal sealed record KvmBirthsComparison(
    BirthsRow Ours, long Birth, long BirthWhole, long ReadAll, long ReadPages, double Write, double WriteAfterRead,
    long End, KvmServedChild Served)
{
    public double BirthRatio => (double)Birth / Ours.Birth;

    public double BirthWholeRatio => (double)BirthWhole / Ours.Birth;

    public double WriteRatio => Write / Ours.WriteFault!.Value;

    public double WriteAfterReadRatio => WriteAfterRead / Ours.WriteFault!.Value;

    public double EndRatio => (double)End / Ours.Kill;

    public double ServedBirthRatio => (double)Served.Birth / Ours.Birth;

    public double ServedWriteRatio => Served.Write / Ours.WriteFault!.Value;

    public double ServedEndRatio => (double)Served.End / Ours.Kill;

    /// <summary>Every size that was measured on both sides.</summary>
    public static IReadOnlyList<KvmBirthsComparison> Make(BirthsResult result, KvmBirthsResult kvm) =>
    [
        .. from rows in kvm.Rows.GroupBy(row => row.Case)
           from ours in result.Rows
           where ours is { Template: GuestPayload.Filler, Pages: "4k", WriteFault: not null }
               && ours.MemoryBytes == rows.Key.MemoryBytes
           select Of(ours, rows.ToDictionary(row => row.Way)),
    ];

    /// <summary>
    /// What this project promises against KVM 6.x: cortex-a72 and max, 4K pages, 1 GB and more. No other run is judged.
    /// </summary>
    public static IReadOnlyList<Target> Judge(BirthsResult result)
    {
        List<Target> targets = [];
        if (result.Kvm is null || result.Plan.Cpu.Name is not ("cortex-a72" or "max"))
        {
            return targets;
        }

        foreach (KvmBirthsComparison pair in Make(result, result.Kvm)
            .Where(pair => pair.Ours.MemoryBytes >= ByteSize.Gigabyte))
        {
            string size = ByteSize.FormatOption(pair.Ours.MemoryBytes);
            AtLeast($"{size}: birth", 50, pair.BirthRatio);
            AtLeast($"{size}: a write to a shared page", 4, pair.WriteRatio);
            targets.Add(new Target(
                $"{size}: reading all memory, faults",
                "= 0",
                pair.Ours.ReadFaults!.Value.ToString("N0", CultureInfo.InvariantCulture),
                pair.Ours.ReadFaults == 0));
        }

        return targets;

        void AtLeast(string name, double bound, double measured) => targets.Add(new Target(
            name + ", times fewer",
            string.Create(CultureInfo.InvariantCulture, $">= {bound:N0}"),
            measured.ToString("N1", CultureInfo.InvariantCulture),
            measured >= bound));
    }

    private static KvmBirthsComparison Of(BirthsRow ours, Dictionary<KvmBirthWay, KvmBirthsRow> theirs)
    {
        long again = theirs[KvmBirthWay.WriteAgain].Instructions;
        return new KvmBirthsComparison(
            ours,
            theirs[KvmBirthWay.Birth].Instructions,
            theirs[KvmBirthWay.BirthWhole].Instructions,
            theirs[KvmBirthWay.Read].Instructions - theirs[KvmBirthWay.ReadAgain].Instructions,
            theirs[KvmBirthWay.Read].Pages,
            PerPage(theirs[KvmBirthWay.Write]),
            PerPage(theirs[KvmBirthWay.WriteAfterRead]),
            theirs[KvmBirthWay.End].Instructions,
            new KvmServedChild(
                theirs[KvmBirthWay.ServedBirth].Instructions,
                theirs[KvmBirthWay.ServedRead].Instructions - theirs[KvmBirthWay.ReadAgain].Instructions,
                PerPage(theirs[KvmBirthWay.ServedWrite]),
                PerPage(theirs[KvmBirthWay.ServedWriteAfterRead]),
                theirs[KvmBirthWay.ServedEnd].Instructions));

        double PerPage(KvmBirthsRow row) => (double)(row.Instructions - again) / row.Pages;
    }
}
