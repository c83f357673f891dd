using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Probe;

/// <summary>Runs the probe's file: on this host, or as the first process of Debian's kernel under QEMU.</summary>
internal static class ProbeRunner
{
    /// <summary>What comes to stderr, or over the machine's serial line beside the document.</summary>
    private const string Mark = "quietus-probe: ";

    /// <summary>RAM of the machine beside the VM's: Linux, its page structures, its tables.</summary>
    private const long LinuxMemory = 256 * ByteSize.Megabyte;

    /// <summary>The probe's file for this machine's architecture, or for arm64.</summary>
    public static string File(bool isArm64)
    {
        string name = isArm64 ? "quietus-probe-arm64" : "quietus-probe-x64";
        string path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(Folders.Image)) ?? string.Empty, name);
        return System.IO.File.Exists(path)
            ? path
            : throw CliException.NotSupported($"the probe {path} has not been built", "./quietus probe builds it");
    }

    /// <summary>Whether this program runs on arm64.</summary>
    public static bool IsArm64Here => RuntimeInformation.OSArchitecture == Architecture.Arm64;

    /// <summary>Runs it here; its document.</summary>
    public static async Task<string> RunHereAsync(
        IReadOnlyList<string> arguments, TimeSpan limit, CancellationToken cancellation)
    {
        string file = File(IsArm64Here);
        using Process process = await ChildKeeper.StartAsync(
            ChildKeeper.Describe(file, [.. arguments, "--json", "-"])).ConfigureAwait(false);
        return await ListenAsync(process, limit, isMachine: false, cancellation).ConfigureAwait(false);
    }

    /// <summary>Boots Debian's arm64 kernel at EL2 with the probe as its first process; the document.</summary>
    public static async Task<string> RunUnderQemuAsync(
        IReadOnlyList<string> arguments, CpuModel cpu, long largest, IReadOnlyList<string> pages, TimeSpan limit,
        CancellationToken cancellation)
    {
        string probe = File(isArm64: true);
        LinuxGuest linux = LinuxGuest.Cached() ?? throw CliException.NotSupported(
            $"there is no Linux kernel in {Folders.Cache} to run KVM with",
            "run ./quietus probe --under qemu once with a network: it fetches Debian's");
        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        using var folder = new RunFolder();
        string initrd = Path.Combine(folder.Path, "probe.cpio");
        using (FileStream archiveFile = System.IO.File.Create(initrd))
        {
            var archive = new CpioWriter(archiveFile);
            archive.AddFile("init", probe, isProgram: true);
            archive.Finish();
        }

        QemuMachine machine = MachineFor(linux, initrd, arguments, cpu, largest, pages);
        Notice.Write($"booting {linux.Version} with KVM on {cpu.Name}");
        using Process process = await ChildKeeper.StartAsync(ChildKeeper.Describe(qemu.Path, machine.Arguments()))
            .ConfigureAwait(false);
        folder.Note(process);
        return await ListenAsync(process, limit, isMachine: true, cancellation).ConfigureAwait(false);
    }

    /// <summary>The machine of <c>bench --against kvm</c>, with more room for Linux and pools of huge pages.</summary>
    private static QemuMachine MachineFor(
        LinuxGuest linux, string initrd, IReadOnlyList<string> arguments, CpuModel cpu, long largest,
        IReadOnlyList<string> pages)
    {
        bool hasPool = pages.Contains("hugetlb-2m");

        // More than 512 MB: with less, Linux turns transparent huge pages off (hugepage_init in mm/huge_memory.c).
        long memory = Math.Max((hasPool ? 3 : 2) * largest + LinuxMemory, 768 * ByteSize.Megabyte);
        string pool = hasPool
            ? string.Create(
                CultureInfo.InvariantCulture, $" hugepagesz=2M hugepages={largest / (2 * ByteSize.Megabyte)}")
            : string.Empty;
        return new QemuMachine
        {
            Cpu = cpu.QemuName,
            Processors = 2,
            MemoryBytes = memory / ByteSize.Megabyte * ByteSize.Megabyte,
            Image = linux.Kernel,
            Bundle = initrd,
            Append = KvmKernel.CommandLine(
                pages.Contains("thp"), string.Join(' ', [.. arguments, "--count-processor", "--json", "-"]), pool),
            CountsInstructions = true,
            HasPort = false,
        };
    }

    private static async Task<string> ListenAsync(
        Process process, TimeSpan limit, bool isMachine, CancellationToken cancellation)
    {
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(limit);
        var errors = new StringBuilder();
        try
        {
            Task<string> document = ReadDocumentAsync(process.StandardOutput, errors, timer.Token);
            Task progress = ReadProgressAsync(process.StandardError, errors, timer.Token);
            string text = await document.ConfigureAwait(false);
            await progress.ConfigureAwait(false);
            await process.WaitForExitAsync(timer.Token).ConfigureAwait(false);
            if (text.Length > 0 && (isMachine || process.ExitCode == 0))
            {
                return text;
            }

            string[] said = errors.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
            string last = said.Length == 0 ? "it said nothing" : Printable.Line(said[^1]);
            int code = process.ExitCode is ExitCode.Usage or ExitCode.NotSupported ? process.ExitCode : ExitCode.Failed;
            throw new CliException(
                code,
                last.StartsWith(Mark, StringComparison.Ordinal) ? last[Mark.Length..] : $"the probe ended: {last}",
                code == ExitCode.NotSupported ? "./quietus probe --under qemu needs no "
                    + "/dev/kvm" : "docs/probe.md has more");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new CliException(
                ExitCode.TimeLimit, $"time limit: the probe was not done within {limit.TotalSeconds:0} s",
                "give it more with --timeout, or less to do with --memory, --ways or --repeat");
        }
        finally
        {
            ChildKeeper.Kill(process);
        }
    }

    /// <summary>
    /// The lines from the first that is an opening brace to the first that is a closing one; the others are told or
    /// kept: over a machine's serial line the kernel's come as well.
    /// </summary>
    private static async Task<string> ReadDocumentAsync(
        StreamReader from, StringBuilder errors, CancellationToken cancellation)
    {
        const int Most = 64 << 20;
        var document = new StringBuilder();
        bool isInside = false;
        bool isWhole = false;
        while (await from.ReadLineAsync(cancellation).ConfigureAwait(false) is { } line)
        {
            line = line.TrimEnd('\r');
            isInside |= line == "{" && !isWhole;
            if (!isInside)
            {
                Take(line, errors);
                continue;
            }

            document.Append(line).Append('\n');
            isWhole |= line == "}";
            isInside = !isWhole && document.Length < Most;
        }

        return isWhole ? document.ToString() : string.Empty;
    }

    private static async Task ReadProgressAsync(
        StreamReader from, StringBuilder errors, CancellationToken cancellation)
    {
        while (await from.ReadLineAsync(cancellation).ConfigureAwait(false) is { } line)
        {
            Take(line, errors);
        }
    }

    private static void Take(string line, StringBuilder errors)
    {
        const int Kept = 1 << 16;
        if (line.StartsWith(Mark, StringComparison.Ordinal))
        {
            Notice.Progress(line);
        }

        lock (errors)
        {
            if (line.Length > 0 && errors.Length < Kept)
            {
                errors.Append(line).Append('\n');
            }
        }
    }
}
