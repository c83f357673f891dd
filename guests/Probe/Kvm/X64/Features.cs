using System;
using Quietus.Probe.Linux;
using Quietus.Probe.Output;

namespace Quietus.Probe.Kvm;

/// <summary>What an x86-64 host is.</summary>
internal static class Features
{
    internal static ReadOnlySpan<byte> Processor(ReadOnlySpan<byte> cpuinfo)
    {
        ReadOnlySpan<byte> name = TextFile.Field(cpuinfo, "model name"u8);
        return name.Length == 0 ? "an unknown CPU"u8 : name;
    }

    /// <summary>What translates a guest's addresses.</summary>
    internal static ReadOnlySpan<byte> SecondStage()
    {
        if (Modules.Exists("/sys/module/kvm_pvm"u8))
        {
            return "shadow paging (kvm_pvm)"u8;
        }

        if (Modules.Exists("/sys/module/kvm_intel"u8))
        {
            return Modules.IsOn("/sys/module/kvm_intel/parameters/ept"u8) ? "EPT"u8 : "shadow paging (kvm_intel)"u8;
        }

        return !Modules.Exists("/sys/module/kvm_amd"u8) ? "a KVM of no known module"u8
            : Modules.IsOn("/sys/module/kvm_amd/parameters/npt"u8) ? "NPT"u8 : "shadow paging (kvm_amd)"u8;
    }

    internal static void Write(ReadOnlySpan<byte> cpuinfo)
    {
        Facts.Text("cpu_vendor"u8, TextFile.Field(cpuinfo, "vendor_id"u8));
        Facts.Text("cpu_family"u8, TextFile.Field(cpuinfo, "cpu family"u8));
        Facts.Text("cpu_model"u8, TextFile.Field(cpuinfo, "model"u8));
        ReadOnlySpan<byte> flags = TextFile.Field(cpuinfo, "flags"u8);
        Facts.Flag("vmx"u8, TextFile.HasWord(flags, "vmx"u8));
        Facts.Flag("svm"u8, TextFile.HasWord(flags, "svm"u8));
        Facts.Flag("sev"u8, TextFile.HasWord(flags, "sev"u8));
        Facts.Flag("is_virtual"u8, IsVirtual(cpuinfo));
    }

    /// <summary>Whether this host is itself a guest, as far as its CPU says so.</summary>
    internal static bool IsVirtual(ReadOnlySpan<byte> cpuinfo) =>
        TextFile.HasWord(TextFile.Field(cpuinfo, "flags"u8), "hypervisor"u8);
}
