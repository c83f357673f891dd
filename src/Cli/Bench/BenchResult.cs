using System.Collections.Generic;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Bench;

/// <summary>What a bench run has found, with all that is needed to repeat it.</summary>
internal sealed record BenchResult
{
    public required BenchPlan Plan { get; init; }

    public required QemuBinary Qemu { get; init; }

    /// <summary>SHA-256 of the hypervisor's image, in lower-case hex.</summary>
    public required string ImageSha256 { get; init; }

    /// <summary>What the hypervisor said about itself.</summary>
    public required string HypervisorVersion { get; init; }

    /// <summary>The <c>quietus</c> command that repeats the run.</summary>
    public required string Command { get; init; }

    /// <summary>QEMU's command line of the first boot.</summary>
    public required string QemuCommand { get; init; }

    public required IReadOnlyList<BenchRow> Rows { get; init; }

    /// <summary>Whether all of the plan was measured: false when it was interrupted.</summary>
    public bool IsComplete => Rows.Count == Plan.Part.Length;

    public required Primitives Primitives { get; init; }

    /// <summary>Notes that belong to the result, such as that the Linux guest was not to be had.</summary>
    public required IReadOnlyList<string> Notes { get; init; }

    public required long FramesReceived { get; init; }

    public required long FramesDamaged { get; init; }

    public required long FramesLost { get; init; }

    /// <summary>What KVM takes for the same; null where it was not asked for.</summary>
    public Kvm.KvmResult? Kvm { get; init; }

    /// <summary>Host time of the whole run, in nanoseconds.</summary>
    public required long WallNanoseconds { get; init; }
}
