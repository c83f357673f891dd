using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>Carries out the KVM side of a plan: one boot after the other, each on the plan's own machine.</summary>
internal sealed class KvmRunner
{
    private readonly BenchPlan _plan;
    private readonly QemuBinary _qemu;
    private readonly LinuxGuest _linux;
    private readonly string _probe;

    private KvmRunner(BenchPlan plan, QemuBinary qemu, LinuxGuest linux, string probe)
    {
        _plan = plan;
        _qemu = qemu;
        _linux = linux;
        _probe = probe;
    }

    /// <summary>Finds kernel and probe; an error says how to get what is missing.</summary>
    public static KvmRunner Make(BenchPlan plan, QemuBinary qemu)
    {
        LinuxGuest linux = LinuxGuest.Cached() ?? throw CliException.NotSupported(
            $"there is no Linux kernel in {Folders.Cache} to run KVM with",
            "run ./quietus bench --against kvm once with a network: it fetches Debian's");
        KernelImage.Check(linux.Kernel);
        return File.Exists(Folders.KvmProbe)
            ? new KvmRunner(plan, qemu, linux, Folders.KvmProbe)
            : throw CliException.NotSupported(
                $"the probe {Folders.KvmProbe} has not been built", "./quietus bench --against kvm builds it");
    }

    /// <summary>Measures every size of memory with every size of pages.</summary>
    public async Task<KvmResult> RunAsync(CancellationToken cancellation)
    {
        KvmCase[] cases =
        [
            .. from memory in _plan.MemoryBytes
               from pages in _plan.Pages
               select new KvmCase(memory, pages),
        ];
        using var folder = new RunFolder();
        string initrd = Pack(folder.Path);
        List<KvmRow> rows = [];
        KvmProbeReader? first = null;
        foreach (KvmCase what in cases)
        {
            void Tell(KvmRow row)
            {
                rows.Add(row);
                Notice.Progress(string.Create(
                    CultureInfo.InvariantCulture,
                    $"[{rows.Count}/{cases.Length * KvmProbeReader.Ways.Length}] {what} {row.Way.Name()}: "
                        + $"{row.Entries:N0} mapped, {Counted.Of(row.Instructions, "instruction")}"));
            }

            Notice.Write($"{what}: booting {_linux.Version}");
            KvmProbeReader reader = await KvmHost
                .RunAsync(_qemu, Machine(what, initrd), folder, what, _plan.Limit, Tell, cancellation)
                .ConfigureAwait(false);
            first ??= reader;
        }

        return new KvmResult
        {
            KernelRelease = first!.KernelRelease,
            Package = _linux.Version,
            ProbeSha256 = Convert.ToHexStringLower(
                SHA256.HashData(await File.ReadAllBytesAsync(_probe, cancellation).ConfigureAwait(false))),
            QemuCommand = Machine(cases[0], "initrd").CommandLine(QemuBinary.Name),
            EmptyInstructions = first.EmptyInstructions,
            Rows = rows,
        };
    }

    /// <summary>The machine that Quietus has, with Linux in it instead.</summary>
    private QemuMachine Machine(KvmCase what, string initrd) => new()
    {
        Cpu = _plan.Cpu.QemuName,
        Processors = Math.Max(2, _plan.Cpus + 1),
        MemoryBytes = BenchPlan.MachineMemory(_plan.Guests[0], what.MemoryBytes),
        Image = _linux.Kernel,
        Bundle = initrd,
        Append = what.Append,
        CountsInstructions = true,
    };

    /// <summary>The initial RAM disk: the probe, and nothing else.</summary>
    private string Pack(string folder)
    {
        string path = Path.Combine(folder, "kvm-probe.cpio");
        using FileStream file = File.Create(path);
        var archive = new CpioWriter(file);
        archive.AddFile("init", _probe, isProgram: true);
        archive.Finish();
        return path;
    }
}
