using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Births;

/// <summary>The object <c>kvm</c> of a <see cref="BirthsDocument"/> (docs/against-kvm.md).</summary>
internal sealed record KvmBirthsEntry(
    string Kernel,
    string Package,
    [property: JsonPropertyName("probe_sha256")] string ProbeHash,
    string QemuCommand,
    long EmptyInstructions,
    IEnumerable<KvmBirthsRowEntry> Rows,
    IEnumerable<KvmBirthsComparisonEntry> Comparisons)
{
    public static KvmBirthsEntry Of(BirthsResult result, KvmBirthsResult kvm) => new(
        kvm.KernelRelease, kvm.Package, kvm.ProbeSha256, kvm.QemuCommand, kvm.EmptyInstructions,
        kvm.Rows.Select(row => new KvmBirthsRowEntry(
            row.Case.MemoryBytes, row.Way.Name(), row.Pages, row.Instructions, row.VirtualNanoseconds)),
        KvmBirthsComparison.Make(result, kvm).Select(KvmBirthsComparisonEntry.Of));
}

/// <summary>One measurement under KVM.</summary>
internal sealed record KvmBirthsRowEntry(
    long MemoryBytes, string Way, [property: JsonPropertyName("pages_4k")] long Pages, long Instructions,
    long VirtualNs);

/// <summary>The same child on both.</summary>
internal sealed record KvmBirthsComparisonEntry(
    long MemoryBytes,
    long QuietusBirthInstructions,
    long KvmBirthInstructions,
    long KvmBirthWholeInstructions,
    double BirthRatio,
    double BirthWholeRatio,
    long QuietusReadFaults,
    long KvmReadInstructions,
    [property: JsonPropertyName("kvm_read_pages_4k")] long KvmReadPages,
    double QuietusWriteInstructions,
    double KvmWriteInstructions,
    double KvmWriteAfterReadInstructions,
    double WriteRatio,
    double WriteAfterReadRatio,
    long QuietusKillInstructions,
    long KvmEndInstructions,
    double EndRatio,
    long KvmUffdBirthInstructions,
    double UffdBirthRatio,
    long KvmUffdReadInstructions,
    double KvmUffdWriteInstructions,
    double KvmUffdWriteAfterReadInstructions,
    double UffdWriteRatio,
    long KvmUffdEndInstructions)
{
    public static KvmBirthsComparisonEntry Of(KvmBirthsComparison pair) => new(
        pair.Ours.MemoryBytes,
        pair.Ours.Birth,
        pair.Birth,
        pair.BirthWhole,
        Document.Rounded(pair.BirthRatio),
        Document.Rounded(pair.BirthWholeRatio),
        pair.Ours.ReadFaults!.Value,
        pair.ReadAll,
        pair.ReadPages,
        Document.Rounded(pair.Ours.WriteFault!.Value),
        Document.Rounded(pair.Write),
        Document.Rounded(pair.WriteAfterRead),
        Document.Rounded(pair.WriteRatio),
        Document.Rounded(pair.WriteAfterReadRatio),
        pair.Ours.Kill,
        pair.End,
        Document.Rounded(pair.EndRatio),
        pair.Served.Birth,
        Document.Rounded(pair.ServedBirthRatio),
        pair.Served.ReadAll,
        Document.Rounded(pair.Served.Write),
        Document.Rounded(pair.Served.WriteAfterRead),
        Document.Rounded(pair.ServedWriteRatio),
        pair.Served.End);
}
