namespace Quietus.Probe.Output;

/// <summary>What --help says.</summary>
internal static class Help
{
    internal static void Write()
    {
        Sink.Text("""
            quietus-probe: what births and deaths of VMs cost on this host. It needs access
            to /dev/kvm and nothing else, and leaves nothing behind.

              --memory 64M,256M,1G   sizes of VMs, multiples of 2M (default: these, as far
                                     as half of the free memory goes)
              --pages KINDS          4k,thp,hugetlb-2m,hugetlb-1g (default: all here)
              --ways WAYS            close,kill,munmap,dontneed,slot,punch (default: all)
              --repeat N             runs of each, 1 to 100 (default 5), after one untold
              --json FILE            the result for programs (quietus.probe/1); - is stdout,
                                     instead of the table
              --alone                leaves out the second VM and the deaths at once
              --over-half            take more than half of the free memory
              --count-processor      count instructions of a whole processor
              --quiet                no progress on stderr

            Exit codes: 0 ok, 1 failed, 2 usage, 77 this host cannot be measured (one line
            says why). docs/probe.md of Quietus explains the figures.

            """u8);
        Sink.Flush();
    }
}
