using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>The object <c>kvm</c> of a <see cref="BenchDocument"/> (docs/against-kvm.md).</summary>
internal sealed record KvmEntry(
    string Kernel,
    string Package,
    [property: JsonPropertyName("probe_sha256")] string ProbeHash,
    string QemuCommand,
    long EmptyInstructions,
    IEnumerable<KvmRowEntry> Rows,
    IEnumerable<KvmComparisonEntry> Comparisons)
{
    public static KvmEntry Of(BenchResult result, KvmResult kvm) => new(
        kvm.KernelRelease,
        kvm.Package,
        kvm.ProbeSha256,
        kvm.QemuCommand,
        kvm.EmptyInstructions,
        kvm.Rows.Select(KvmRowEntry.Of),
        KvmComparison.Make(result, kvm).Select(KvmComparisonEntry.Of));
}

/// <summary>One death under KVM.</summary>
internal sealed record KvmRowEntry(
    long MemoryBytes,
    string PageSize,
    string Way,
    [property: JsonPropertyName("mapped_pages_4k")] long MappedPages,
    [property: JsonPropertyName("mapped_blocks_2m")] long MappedBlocks,
    long Instructions,
    long VirtualNs,
    long FreedBytes,
    double PerPageInstructions)
{
    public static KvmRowEntry Of(KvmRow row) => new(
        row.Case.MemoryBytes,
        row.Case.Pages,
        row.Way.Name(),
        row.MappedPages4K,
        row.MappedBlocks2M,
        row.Instructions,
        row.VirtualNanoseconds,
        row.FreedBytes,
        Document.Rounded(row.PerEntry));
}

/// <summary>The same death on both.</summary>
internal sealed record KvmComparisonEntry(
    long MemoryBytes,
    string PageSize,
    string Way,
    long QuietusInstructions,
    long KvmInstructions,
    [property: JsonPropertyName("kvm_stage2_instructions")] long KvmShareInstructions,
    long NoVmInstructions,
    double Ratio,
    [property: JsonPropertyName("stage2_ratio")] double ShareRatio)
{
    public static KvmComparisonEntry Of(KvmComparison pair) => new(
        pair.Case.MemoryBytes,
        pair.Case.Pages,
        pair.Way.Name(),
        pair.Ours.Death.Instructions,
        pair.Whole.Instructions,
        pair.Share.Instructions,
        pair.NoVm.Instructions,
        Document.Rounded(pair.WholeRatio),
        Document.Rounded(pair.ShareRatio));
}
