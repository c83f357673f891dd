using System;
using System.CommandLine;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Run;

/// <summary><c>quietus run</c>: a VM with its console here.</summary>
internal static class RunVerb
{
    private static readonly Value<string?> _kernel = Values.Text(
        "--kernel", "file", "A kernel of your own: an arm64 Linux Image, Image.gz, or a flat image");

    private static readonly Value<string?> _initrd =
        Values.Text("--initrd", "file", "Its initial RAM disk: any file");

    private static readonly Value<string?> _disk = Values.Text(
        "--disk", "file", "What is on its virtio disk: any file, read and never written; the disk ends with the VM");

    private static readonly Option<string?> _append = new("--append")
    {
        Description = "A kernel of yours gets this command line exactly; the fetched one gets it added",
        HelpName = "text",
    };

    private static readonly Value<string?> _guest = new(
        "--guest", "name", "linux (Debian's kernel, fetched) or filler (embedded) [default: linux, if fetched]",
        CommonOptions.ReadGuest);

    private static readonly Value<long> _memory =
        new("--memory", "size", "The VM's memory", CommonOptions.ReadMemory, "1G");

    private static readonly Value<string> _pages = new(
        "--pages", "size", "Stage-2 mappings: 4k, 2m, or auto for the largest that fits", PageSize.Parse, "auto");

    private static readonly Value<MaintenancePolicy> _policy = new(
        "--policy", "name",
        "Maintenance policy: " + string.Join(", ", MaintenancePolicy.All.Select(policy => policy.Name)), ReadPolicy,
        MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate).Name);

    private static readonly Value<int?> _cpus = CommonOptions.Cpus("2");
    private static readonly Value<int?> _weight = Values.Number(
        "--weight", "Its vCPUs' share of busy cores, 10 to 1000 [default: 100]", "weight", 10, 1000);

    private static readonly Value<string?> _pin = new(
        "--pin", "cores", "Cores of the machine that the vCPUs may use: 1,3 or 1-3 [default: all]", ReadCores);

    private static readonly Value<CpuModel> _cpu = CommonOptions.Cpu();
    private static readonly Value<TimeSpan?> _timeout =
        Values.Time("--timeout", "End the VM after this long, with exit code 124");

    private static readonly Value<string?> _network = CommonOptions.Network();

    private static readonly Option<bool> _noReboot = new("--no-reboot")
    {
        Description = "End with exit code 3 where the guest asks for a reboot",
    };

    private static readonly Option<bool> _fromTemplate = new("--from-template")
    {
        Description = "Boot once, freeze at the shell; then each Enter gives a fresh child",
    };

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("run", "Boot a VM with its console on this terminal (Ctrl-A x ends it)")
        {
            _kernel, _initrd, _disk, _append, _guest, _memory, _cpus, _weight, _pin, _pages, _policy, _cpu, _network,
            _timeout, _noReboot, _fromTemplate,
        };
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        bool isFromTemplate = result.GetValue(_fromTemplate);
        if (isFromTemplate)
        {
            CheckTemplate(result);
        }

        GuestPayload guest = ReadGuest(result, isFromTemplate);
        long memory = _memory.Of(result);
        if (guest.Note is not null)
        {
            Notice.Progress("[quietus] " + guest.Note);
        }

        guest.CheckFits(memory);
        string append = ReadAppend(result.GetValue(_append), guest);
        var plan = new RunPlan
        {
            Guest = guest,
            MemoryBytes = memory,
            Cpus = _cpus.Of(result)!.Value,
            Weight = _weight.Of(result),
            Cores = _pin.Of(result),
            Pages = _pages.Of(result),
            Policy = _policy.Of(result),
            Cpu = _cpu.Of(result),
            Append = append,
            HasNetwork = CommonOptions.HasNetwork(_network.Of(result)),
            Reboots = !result.GetValue(_noReboot),
            IsFromTemplate = isFromTemplate,
            Limit = _timeout.Of(result),
        };
        CheckCores(plan);
        CommonOptions.CheckHostMemory(plan.MachineMemory);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        string image = CommonOptions.FindImage();
        using var session = new RunSession(plan, qemu, image);
        return await session.RunAsync(cancellation).ConfigureAwait(false);
    }

    private static MaintenancePolicy ReadPolicy(string name)
    {
        System.Collections.Generic.IReadOnlyList<MaintenancePolicy> policies = MaintenancePolicy.ParseList([name]);
        return policies.Count == 1
            ? policies[0]
            : throw CliException.Usage("a VM has one policy, not all", "name one with --policy");
    }

    private static string? ReadCores(string text) =>
        CoreList.TryParse(Encoding.ASCII.GetBytes(text), out _)
            ? text
            : throw CliException.Usage($"'{text}' is no list of cores", "write it as 1,3 or 1-3");

    /// <summary>The machine has as many cores as the run gives it.</summary>
    private static void CheckCores(RunPlan plan)
    {
        ulong there = (1UL << plan.MachineCores) - 1;
        if (plan.Cores is { } list && CoreList.TryParse(Encoding.ASCII.GetBytes(list), out ulong cores)
            && (cores & ~there) != 0)
        {
            throw CliException.Usage(
                $"--pin {list} names a core that the machine does not have",
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"with {Counted.Of(plan.Cpus, "vCPU")} --pin takes cores 0 to {plan.MachineCores - 1}"));
        }
    }

    /// <summary>What a template cannot be or do.</summary>
    private static void CheckTemplate(ParseResult result)
    {
        CommonOptions.Refuse(
            result, [_noReboot], "with --from-template", "a child's reboot ends the child, and the next one is fresh");
        if (_guest.Of(result) == GuestPayload.Filler)
        {
            throw CliException.Usage(
                "--from-template freezes a guest at its shell, and the filler has none",
                "leave --guest out; ./quietus bench --births has children of the filler");
        }

        if (_policy.Of(result).Engine != Memory.MaintenancePolicy.Fate)
        {
            throw CliException.Usage(
                $"a VM with the policy {_policy.Of(result).Name} cannot become a template",
                "leave --policy out: only fate can be frozen (docs/fork.md)");
        }
    }

    private static GuestPayload ReadGuest(ParseResult result, bool isLinuxNeeded)
    {
        string? kernel = _kernel.Of(result);
        string? initrd = _initrd.Of(result);
        string? disk = _disk.Of(result);
        string? name = _guest.Of(result);
        bool ownFiles = kernel is not null || initrd is not null || disk is not null;
        if (name == GuestPayload.Filler && ownFiles)
        {
            throw CliException.Usage(
                "--guest filler takes no --kernel, no --initrd and no --disk", "leave one or the other out");
        }

        if (name is null && !ownFiles && !isLinuxNeeded && LinuxGuest.Cached() is null)
        {
            Console.Error.WriteLine("[quietus] no Linux kernel is cached: running the filler guest");
            return GuestPayload.MakeFiller();
        }

        return name == GuestPayload.Filler ? GuestPayload.MakeFiller() : GuestPayload.MakeLinux(kernel, initrd, disk);
    }

    /// <summary>
    /// The fetched guest's command line with what was not given: its console, a reset at a panic, which ends the run,
    /// and the size of the terminal that its shell is on.
    /// </summary>
    private static string Complete(string append)
    {
        foreach ((string name, string standard) in ((string, string)[])[
            ("panic=", "panic=-1"), ("console=", "console=ttyAMA0")])
        {
            if (!append.Split(' ').Any(word => word.StartsWith(name, StringComparison.Ordinal)))
            {
                append = (standard + " " + append).TrimEnd();
            }
        }

        return TerminalSize.Window is (int rows, int columns)
            ? string.Create(CultureInfo.InvariantCulture, $"{append} quietus.rows={rows} quietus.columns={columns}")
            : append;
    }

    private static string ReadAppend(string? given, GuestPayload guest)
    {
        string append = given ?? string.Empty;
        if (guest.IsBundled)
        {
            append = Complete(append);
        }

        if (append.AsSpan().ContainsAnyInRange('\0', '\x1f'))
        {
            throw CliException.Usage("--append holds a control character", "use spaces between the parameters");
        }

        return System.Text.Encoding.UTF8.GetByteCount(append) <= GuestOrder.MostAppend
            ? append
            : throw CliException.Usage(
                "--append is too long",
                string.Create(CultureInfo.InvariantCulture, $"at most {GuestOrder.MostAppend} bytes"));
    }
}
