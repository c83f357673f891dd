namespace Quietus.Cli.Bench.Kvm;

/// <summary>How a kernel that is to be a KVM host is booted, whichever probe is its first process.</summary>
internal static class KvmKernel
{
    /// <summary>
    /// The kernel's command line, of which the probe gets what follows the two hyphens. A panic ends the machine
    /// instead of standing still.
    /// </summary>
    /// <param name="hasTransparentPages">
    /// Whether the kernel may use transparent huge pages. Where it may, it keeps more memory free
    /// (set_recommended_min_free_kbytes, mm/khugepaged.c), so the lists of freed pages that each processor keeps get
    /// longer, and 2,600 pages of an unmap are put there and not merged: 340 instructions less for each. Linux switches
    /// them off itself where there is less than 512 MB, so what freeing a page costs would hang on the machine's size.
    /// </param>
    /// <param name="arguments">The probe's.</param>
    /// <param name="more">Further parameters of the kernel, each with a blank before it.</param>
    public static string CommandLine(bool hasTransparentPages, string arguments, string more = "")
    {
        string pages = hasTransparentPages ? string.Empty : " transparent_hugepage=never";
        return $"console=ttyAMA0 quiet panic=-1{pages}{more} -- {arguments}";
    }
}
