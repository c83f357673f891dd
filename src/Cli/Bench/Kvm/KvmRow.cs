using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;
/// <summary>One measurement of the probe.</summary>
internal sealed record KvmRow
{
    public required KvmCase Case { get; init; }
    public required KvmWay Way { get; init; }
    /// <summary>4 KB pages that were written, and mapped where there is a VM.</summary>
    public required long MappedPages4K { get; init; }
    /// <summary>2 MB blocks, the same.</summary>
    public required long MappedBlocks2M { get; init; }
    /// <summary>Instructions that all processors executed meanwhile (INST_RETIRED); waiting is none.</summary>
    public required long Instructions { get; init; }
    /// <summary>Virtual time, in which waiting counts, at the resolution of CNTVCT_EL0.</summary>
    public required long VirtualNanoseconds { get; init; }
    /// <summary>By how much the kernel's free memory grew; pages on its per-processor lists are not in it.</summary>
    public required long FreedBytes { get; init; }
    public long Entries => MappedPages4K + MappedBlocks2M;
    public double PerEntry => (double)Instructions / Entries;
}
