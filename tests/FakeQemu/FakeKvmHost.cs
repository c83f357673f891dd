using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;

namespace Quietus.FakeQemu;

/// <summary>The fake's Linux with the KVM probe in it: prints what that prints, or something worse.</summary>
internal static class FakeKvmHost
{
    private const long PageBytes = 4096;
    private static readonly string[] _ways =
        ["munmap-no-vm", "close", "slot-removal", "munmap", "kill-no-vm", "kill"];

    private static readonly (string Way, long Pages, long Instructions)[] _births =
    [
        ("birth", 0, 258_424), ("read", 100, 690_000), ("read-again", 100, 1_000), ("write-after-read", 50, 750_500),
        ("write-again", 50, 500), ("end", 50, 37_000), ("birth-whole", 0, 806_367), ("write", 50, 440_500),
        ("birth-uffd", 0, 300_000), ("read-uffd", 100, 1_201_000), ("write-uffd", 50, 600_500),
        ("write-after-read-uffd", 50, 1_000), ("end-uffd", 50, 40_000),
    ];

    /// <summary>Prints and ends as the mode says; returns QEMU's exit code.</summary>
    public static int Run(string mode, string append, Stream output)
    {
        long fill = long.Parse(
            append.Split(' ').Single(word => word.StartsWith("fill=", StringComparison.Ordinal))[5..],
            CultureInfo.InvariantCulture);
        Say("[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd083]\r\n");
        switch (mode)
        {
            case "kvm-silent":
                Thread.Sleep(Timeout.Infinite);
                break;
            case "kvm-absent":
                Say("quietus-kvm: error what=\"opening /dev/kvm\" value=\"\" number=2\r\n");
                return 0;
            case "kvm-fails":
                Say("quietus-kvm: error what=\"creating a VM\" value=\"\" number=12\r\n");
                return 0;
            case "kvm-panics":
                Say("[    1.0] Kernel panic - not syncing: Out of memory\r\n");
                Console.Error.WriteLine("qemu: it is over");
                return 3;
            case "kvm-garbage":
                byte[] garbage = new byte[100_000];
                new Random(7).NextBytes(garbage);
                output.Write(garbage);
                Say("\nquietus-kvm: row way=kill instructions=\e[31m\r\n");
                return 0;
            case "kvm-other-protocol":
                Say("quietus-kvm: probe protocol=2 kernel=\"6.1.0\" empty_instructions=1\r\n");
                return 0;
            default:
                break;
        }

        Say("quietus-kvm: probe protocol=1 kernel=\"6.1.0-fake\" empty_instructions=1500\r\n");
        if (append.Contains("writes=", StringComparison.Ordinal))
        {
            foreach ((string way, long pages, long instructions) in _births)
            {
                Say(string.Create(
                    CultureInfo.InvariantCulture,
                    $"quietus-kvm: birth way={way} pages={pages} instructions={instructions} virtual_ns=1\r\n"));
                if (mode == "kvm-dies-midway" && way == "read")
                {
                    return 1;
                }
            }
        }
        else if (Deaths())
        {
            return 1;
        }

        Say("quietus-kvm: done\r\n[    2.0] reboot: Power down\r\n");
        return 0;

        bool Deaths()
        {
            foreach (string way in _ways)
            {
                long pages = fill / PageBytes;
                long freed = way is "close" or "slot-removal" || mode == "kvm-keeps" ? 0 : fill;
                Say(string.Create(
                    CultureInfo.InvariantCulture,
                    $"quietus-kvm: row way={way} mapped_pages_4k={pages} mapped_blocks_2m=0 "
                        + $"instructions={pages * 1500} virtual_ns={pages * 1501} freed_bytes={freed}\r\n"));
                if (mode == "kvm-dies-midway" && way == "close")
                {
                    return true;
                }
            }

            return false;
        }

        void Say(string text)
        {
            output.Write(Encoding.Latin1.GetBytes(text));
            output.Flush();
        }
    }
}
