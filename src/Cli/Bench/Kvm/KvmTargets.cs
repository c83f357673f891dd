using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>
/// What this project promises against KVM 6.x on the same machine: cortex-a72 and max, pages of 4 KB, 1 GB and
/// more. How many times fewer instructions; no other run is judged.
/// </summary>
internal static class KvmTargets
{
    /// <summary>A death, against KVM's whole death, and against the VM's share alone.</summary>
    public const double Death = 10_000;

    /// <summary>An unmap of a live VM, against munmap.</summary>
    public const double Unmap = 20;

    /// <summary>An unmap of a live VM, against the VM's share alone.</summary>
    public const double UnmapShare = 20;

    private const long LeastMemory = ByteSize.Gigabyte;

    public static IReadOnlyList<Target> Judge(BenchResult result, KvmResult kvm)
    {
        List<Target> targets = [];
        if (result.Plan.Cpu.Name is not ("cortex-a72" or "max"))
        {
            return targets;
        }

        foreach (KvmComparison pair in KvmComparison.Make(result, kvm)
            .Where(pair => pair.Case is { Pages: "4k", MemoryBytes: >= LeastMemory }))
        {
            string size = ByteSize.FormatOption(pair.Case.MemoryBytes);
            if (pair.Way == Wire.DeathWay.Kill)
            {
                AtLeast($"{size}: death", Death, pair.WholeRatio);
                AtLeast($"{size}: death, Stage-2's share", Death, pair.ShareRatio);
                continue;
            }

            AtLeast($"{size}: unmap", Unmap, pair.WholeRatio);
            AtLeast($"{size}: unmap, Stage-2's share", UnmapShare, pair.ShareRatio);
        }

        return targets;

        void AtLeast(string name, double bound, double measured) => targets.Add(new Target(
            name + ", times fewer",
            string.Create(CultureInfo.InvariantCulture, $">= {bound:N0}"),
            measured.ToString("N1", CultureInfo.InvariantCulture),
            measured >= bound));
    }
}
