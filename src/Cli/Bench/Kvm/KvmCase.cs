using System.Globalization;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>One boot of a KVM host, in which every way is measured once.</summary>
internal sealed record KvmCase(long MemoryBytes, string Pages)
{
    /// <summary>How much of the VM's memory is written: as much as the filler writes under Quietus.</summary>
    public long FillBytes => BenchBoot.FillBytes(MemoryBytes);

    /// <summary>
    /// The kernel's command line. What follows the two hyphens is the probe's, which is the first process; a panic ends
    /// the machine instead of standing still.
    /// </summary>
    public string Append => string.Create(
        CultureInfo.InvariantCulture,
        $"console=ttyAMA0 quiet panic=-1 -- memory={MemoryBytes} fill={FillBytes} pages={Pages}");

    public override string ToString() => $"kvm {ByteSize.FormatOption(MemoryBytes)} {Pages}";
}
