using System.Globalization;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>One boot of a KVM host, in which every way is measured.</summary>
internal sealed record KvmCase(long MemoryBytes, string Pages)
{
    /// <summary>How much of the VM's memory is written: as much as the filler writes under Quietus.</summary>
    public long FillBytes => BenchBoot.FillBytes(MemoryBytes);

    /// <summary>The kernel's command line; what the probe is to measure is in it.</summary>
    public string Append => KvmKernel.CommandLine(
        hasTransparentPages: Pages != "4k",
        string.Create(CultureInfo.InvariantCulture, $"memory={MemoryBytes} fill={FillBytes} pages={Pages}"));

    public override string ToString() => $"kvm {ByteSize.FormatOption(MemoryBytes)} {Pages}";
}
