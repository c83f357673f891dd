using System;
using Quietus.Probe.Kvm;
using Quietus.Probe.Linux;
using Quietus.Probe.Runs;
using Quietus.Wire;

namespace Quietus.Probe.Output;

/// <summary>
/// What disturbs the figures on this host, each with what would mend it. A warning is a bit of a set.
/// </summary>
internal static class Warnings
{
    private const int Count = 10;
    private const ulong NoisySpread = 100; // thousandths

    private static uint found;

    internal static void AddLeftOut() => found |= 1;

    /// <summary>What can be seen before anything is measured.</summary>
    internal static void Look()
    {
        Span<byte> text = stackalloc byte[16384];
        ReadOnlySpan<byte> load = TextFile.Read("/proc/loadavg"u8, text);
        bool isBusy = TextFile.TryFirstNumber(load, out ulong whole) && (whole >= 1
            || (load.Length > 2 && load[2] >= (byte)'3'));
        Add(1, isBusy);
        ReadOnlySpan<byte> governor =
            TextFile.Read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"u8, text);
        Add(2, governor.Length != 0 && !governor.SequenceEqual("performance"u8));
        Add(3, Features.IsVirtual(TextFile.Read("/proc/cpuinfo"u8, text)));
        Add(4, HostMemory.CgroupLeaves() != ulong.MaxValue);
        TextFile.TryNumber("/sys/module/kvm/parameters/nx_huge_pages_recovery_ratio"u8, out ulong ratio);
        Add(5, ratio != 0 && Modules.IsOn("/sys/module/kvm/parameters/nx_huge_pages"u8));
        Add(6, TextFile.HasWord(
            TextFile.Read("/sys/kernel/mm/transparent_hugepage/enabled"u8, text), "[never]"u8));
        Add(7, Processors.Count == 1);
        Add(8, TextFile.TryNumber("/sys/kernel/tracing/tracing_on"u8, out ulong tracing) && tracing == 1
            && TextFile.TryNumber("/sys/kernel/tracing/events/kvm/enable"u8, out ulong events) && events == 1);
    }

    /// <summary>What can be seen only afterwards.</summary>
    internal static void LookAtSpread()
    {
        for (int row = 0; row < Samples.Count; row++)
        {
            Add(9, Samples.Spread(row, Figure.Total) > NoisySpread);
        }
    }

    internal static void WriteLines()
    {
        for (int i = 0; i < Count; i++)
        {
            if ((found >> i & 1) != 0)
            {
                Sink.Text("warning:"u8);
                Sink.Paragraph(TextOf(i), "warning:"u8.Length);
            }
        }
    }

    /// <summary>The array "warnings".</summary>
    internal static void Write()
    {
        Sink.Text("["u8);
        bool isFirst = true;
        for (int i = 0; i < Count; i++)
        {
            if ((found >> i & 1) != 0)
            {
                Sink.Text(isFirst ? "\n    "u8 : ",\n    "u8);
                isFirst = false;
                Sink.Quoted(TextOf(i));
            }
        }

        Sink.Text("]"u8);
    }

    private static void Add(int warning, bool isSo) => found |= isSo ? 1U << warning : 0;

    private static ReadOnlySpan<byte> TextOf(int warning) => warning switch
    {
        0 => "some sizes were left out: a pool has not the pages for them (vm.nr_hugepages)"u8,
        1 => "other programs are at work (/proc/loadavg): measure on an idle host, or raise --repeat"u8,
        2 => "the CPU's frequency changes (governor is not performance): cpupower frequency-set -g performance"u8,
        3 => "this host is itself a VM: exits and faults cost what its own hypervisor adds"u8,
        4 => "a cgroup limits this process's memory: charging pages to it is part of the figures"u8,
        5 => "kvm splits huge pages that are executed (nx_huge_pages) and recovers them in the background"u8,
        6 => "transparent huge pages are switched off (transparent_hugepage/enabled is never)"u8,
        7 => "there is one CPU only: no neighbour could be measured, and a killer waits for its victim's CPU"u8,
        8 => "events of KVM are being traced: that takes time in each of them"u8,
        _ => "some ways spread by more than 10 % between their quartiles: raise --repeat, or quiet the host"u8,
    };
}
