using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Doctor;

/// <summary>What this host has, and what is missing. Looks only; changes nothing.</summary>
internal sealed record Examination(IReadOnlyList<Finding> Findings, bool HasApt, bool IsRoot)
{
    /// <summary>What a default bench takes: two machines of a 256 MB VM each, and QEMU itself.</summary>
    private const long LeastMemory = 2 * 640 * ByteSize.Megabyte;

    /// <summary>True when nothing that <c>bench</c> needs is missing.</summary>
    public bool BenchCanRun => Findings.All(finding => finding.Found || !finding.Needed);

    /// <summary>
    /// The command that installs every missing package; null when none is missing or there is no apt.
    /// </summary>
    public string? InstallCommand
    {
        get
        {
            string[] packages =
            [
                .. Findings.Where(finding => !finding.Found && finding.Package is not null)
                    .Select(finding => finding.Package!).Distinct(),
            ];
            return packages.Length == 0 || !HasApt
                ? null
                : (IsRoot ? string.Empty : "sudo ") + "apt-get install -y " + string.Join(' ', packages);
        }
    }

    public static async Task<Examination> MakeAsync(CancellationToken cancellation)
    {
        bool imageBuilt = File.Exists(Folders.Image);
        LinuxGuest? linux = LinuxGuest.Cached();
        long? available = HostMemory.Available();
        Finding[] findings =
        [
            new(".NET", true, Environment.Version.ToString(), true, "runs this program"),
            await QemuAsync(cancellation).ConfigureAwait(false),
            Program("lld", "ld.lld", "lld", !imageBuilt, "links the hypervisor's image"),
            Program(
                "binutils for arm64", "aarch64-linux-gnu-as", "binutils-aarch64-linux-gnu", !imageBuilt,
                "assembles the hypervisor's image"),
            new(
                "image", imageBuilt, imageBuilt ? Describe(Folders.Image) : Folders.Image + " is not built yet", false,
                "is the hypervisor", Remedy: "./quietus bench builds it"),
            new(
                "Linux guest", linux is not null, linux?.Version ?? "not in " + Folders.Cache, false,
                "boots a real Linux; without it the filler guest serves", Remedy: "./quietus bench fetches it"),
            Program("apt", "apt-get", null, false, "fetches the Linux guest and installs packages"),
            Program("dpkg-deb", "dpkg-deb", "dpkg", false, "unpacks the Linux guest"),
            Program("setpriv", "setpriv", "util-linux", false, "ends QEMU even when this program is killed"),
            new(
                "cores", true, Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture), true, "run QEMU"),
            new(
                "memory",
                available is null || available >= LeastMemory,
                available is long bytes
                    ? $"{ByteSize.FormatMegabytes(bytes)} to spare of "
                        + ByteSize.FormatMegabytes(HostMemory.Total() ?? 0)
                    : "unknown",
                true,
                "holds the VMs: " + ByteSize.FormatMegabytes(LeastMemory) + " for a default bench",
                Remedy: "end other programs, or use a smaller --memory and --jobs 1"),
            new(
                "KVM", true, File.Exists("/dev/kvm") ? "there, but not used" : "not there, and not needed", false,
                "is not needed: QEMU emulates EL2"),
        ];
        return new Examination(findings, Programs.Find("apt-get") is not null, Environment.IsPrivilegedProcess);
    }

    private static async Task<Finding> QemuAsync(CancellationToken cancellation)
    {
        const string Purpose = "emulates the Arm machine";
        try
        {
            QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
            return new Finding("QEMU", true, $"{qemu.Version} ({qemu.Path})", true, Purpose);
        }
        catch (CliException error)
        {
            return new Finding("QEMU", false, error.Message, true, Purpose, "qemu-system-arm");
        }
    }

    private static Finding Program(string name, string program, string? package, bool needed, string purpose)
    {
        string? path = Programs.Find(program);
        return new Finding(name, path is not null, path ?? $"{program} is not on PATH", needed, purpose, package);
    }

    private static string Describe(string image) => string.Create(
        CultureInfo.InvariantCulture, $"{image} ({(new FileInfo(image).Length + 1023) / 1024} KB)");
}
