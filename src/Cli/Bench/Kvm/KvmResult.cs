using System.Collections.Generic;
using System.Linq;
using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>What the KVM side of a comparison has found, with what is needed to repeat it.</summary>
internal sealed record KvmResult
{
    /// <summary>The kernel's own release, for example <c>6.1.0-56-cloud-arm64</c>.</summary>
    public required string KernelRelease { get; init; }

    /// <summary>The package that the kernel is from.</summary>
    public required string Package { get; init; }

    /// <summary>SHA-256 of the probe's ELF file, in lower-case hex.</summary>
    public required string ProbeSha256 { get; init; }

    /// <summary>QEMU's command line of the first boot.</summary>
    public required string QemuCommand { get; init; }

    /// <summary>What measuring nothing costs: it is in every figure.</summary>
    public required long EmptyInstructions { get; init; }

    public required IReadOnlyList<KvmRow> Rows { get; init; }

    public KvmRow? Row(long memoryBytes, string pages, KvmWay way) => Rows.FirstOrDefault(row =>
        row.Case.MemoryBytes == memoryBytes && row.Case.Pages == pages && row.Way == way);
}
