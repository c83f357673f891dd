namespace Quietus.Cli.Bench.Kvm;
/// <summary>How the memory of a KVM guest goes, as the probe calls it (docs/against-kvm.md).</summary>
internal static class KvmWay
{
    /// <summary>The process that owns the VM is killed in mid-run and waited for: all of its memory is free.</summary>
    public const string Kill = "kill";
    /// <summary>The same without a VM: what the host takes for a process with so much memory.</summary>
    public const string KillNoVm = "kill-no-vm";
    /// <summary>The VM's descriptors are closed; its memory stays with the process.</summary>
    public const string Close = "close";
    /// <summary>The memory is unmapped by munmap while the VM lives.</summary>
    public const string Munmap = "munmap";
    /// <summary>The same without a VM.</summary>
    public const string MunmapNoVm = "munmap-no-vm";
    /// <summary>The VM's memory slot is removed; the memory stays with the process.</summary>
    public const string SlotRemoval = "slot-removal";
    public static readonly string[] All = [Kill, Close, KillNoVm, Munmap, SlotRemoval, MunmapNoVm];
    /// <summary>Whether the host's pages are freed on that way, too.</summary>
    public static bool FreesPages(string way) => way is Kill or KillNoVm or Munmap or MunmapNoVm;
}
