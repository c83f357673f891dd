using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Wire;

namespace Quietus.Cli.Qemu;

/// <summary>The machine that QEMU emulates, completely described: the same value gives the same command line.</summary>
internal sealed record QemuMachine
{
    /// <summary>Memory that the hypervisor needs beside its VMs', in bytes: itself, and the guests' payloads.</summary>
    public const long Overhead = 192 * ByteSize.Megabyte;

    /// <summary>The name that QEMU gives the CPU model, with its options.</summary>
    public required string Cpu { get; init; }

    /// <summary>Cores: one for the monitor and one for each vCPU, never fewer than two.</summary>
    public required int Processors { get; init; }

    /// <summary>RAM in bytes, whole megabytes.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Path of what is booted at EL2: the hypervisor's image, or a Linux kernel to compare with.</summary>
    public required string Image { get; init; }

    /// <summary>Path of the guests' archive or the initial RAM disk, or null when there is none.</summary>
    public string? Bundle { get; init; }

    /// <summary>The command line of what is booted, or null for none.</summary>
    public string? Append { get; init; }

    /// <summary>
    /// True for a machine whose time is a count of its instructions, the same in every run: what measuring needs.
    /// </summary>
    public bool CountsInstructions { get; init; }

    /// <summary>
    /// Also such a machine hands out a seed of random numbers (of <c>-seed</c>: the same in every run), without which
    /// its guests have none.
    /// </summary>
    public bool HasSeed { get; init; }

    /// <summary>
    /// How long one core of a machine that counts instructions runs at most before the next one does, in microseconds
    /// of its time; null for as long as no timer ends, which is as long as a slice.
    /// </summary>
    /// <remarks>
    /// With -icount QEMU runs the cores in turn, each up to the next timer's end. A filter on a network that nothing
    /// is connected to has such a timer, with the period that it is given, and costs the guests nothing.
    /// </remarks>
    public int? TurnMicroseconds { get; init; }

    private static readonly string[] _uart = ["-chardev", "stdio,id=uart,signal=off", "-serial", "chardev:uart"];

    private static readonly string[] _port =
    [
        "-chardev", "file,id=uart,path=/dev/stderr,append=on", "-serial", "chardev:uart",
        "-chardev", "stdio,id=link,signal=off", "-global", "virtio-mmio.force-legacy=false",
        "-device", "virtio-serial-device,max_ports=2", "-device", "virtserialport,chardev=link,nr=1",
    ];

    /// <summary>The options that make the count repeatable; told in every result.</summary>
    /// <remarks>
    /// sleep=on: an idle machine waits in real time. With sleep=off QEMU jumps to the next deadline instead, and where
    /// all cores idle and that deadline is its own round-robin timer's (7.2, accel/tcg), the timer's callback sets it
    /// anew, the clock jumps again, and so on for ever: a machine without a guest's timers hangs now and then.
    /// Instructions are counted the same: idle time is none.
    /// </remarks>
    public static IReadOnlyList<string> CountingOptions { get; } =
        ["-icount", "shift=0,sleep=on", "-seed", "1", "-rtc", "base=2026-01-01T00:00:00,clock=vm"];

    /// <summary>
    /// The machine has a virtio serial port, which takes whole frames; QEMU's stdin and stdout are that port, and what
    /// the UART says goes to stderr. Without it stdin and stdout are the UART.
    /// </summary>
    /// <remarks>No <c>virtconsole</c>: QEMU drops what one cannot get rid of at once.</remarks>
    public bool HasPort { get; init; } = true;

    /// <summary>
    /// The backend of the machine's network device, as QEMU's -netdev has it, without its id; null for no such device.
    /// </summary>
    public string? Network { get; init; }

    /// <summary>
    /// QEMU's user network, at the addresses of <see cref="GuestAddress"/>: what this process can reach, by way of its
    /// sockets. Without IPv6, which the switch does not let through.
    /// </summary>
    public const string UserNetwork = "user,net=100.64.0.0/10,host=100.64.0.2,dns=100.64.0.3,ipv6=off";

    /// <summary>QEMU's arguments.</summary>
    public IReadOnlyList<string> Arguments()
    {
        string board = "virt,virtualization=on,gic-version=3"
            + (CountsInstructions && !HasSeed ? ",dtb-randomness=off" : "");
        List<string> arguments =
        [
            "-M", board,
            "-cpu", Cpu,
            "-smp", Processors.ToString(CultureInfo.InvariantCulture),
            "-m", (MemoryBytes / ByteSize.Megabyte).ToString(CultureInfo.InvariantCulture),
            "-kernel", Image,
        ];
        if (Bundle is not null)
        {
            arguments.AddRange(["-initrd", Bundle]);
        }

        if (Append is not null)
        {
            arguments.AddRange(["-append", Append]);
        }

        if (CountsInstructions)
        {
            arguments.AddRange(CountingOptions);
        }

        if (TurnMicroseconds is int turn)
        {
            arguments.AddRange(
            [
                "-netdev", "hubport,id=none,hubid=0", "-object",
                string.Create(CultureInfo.InvariantCulture, $"filter-buffer,id=turn,netdev=none,interval={turn}"),
            ]);
        }

        if (Network is not null)
        {
            // force-legacy is the port's, too, and may be said twice.
            arguments.AddRange(
            [
                "-netdev", Network + ",id=net", "-global", "virtio-mmio.force-legacy=false",
                "-device", "virtio-net-device,netdev=net",
            ]);
        }

        // signal=off: Ctrl-C is for us to handle, never for QEMU. no-reboot: a reset machine ends, and we notice.
        arguments.AddRange(
        [
            "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot",
            .. HasPort ? _port : _uart,
        ]);
        return arguments;
    }

    /// <summary>The command as a person would type it.</summary>
    public string CommandLine(string qemu) =>
        string.Join(' ', Arguments().Prepend(qemu).Select(ShellWord.Quote));
}
