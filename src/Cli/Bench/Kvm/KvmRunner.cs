using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>Carries out the KVM side of a plan: one boot after the other, each on the plan's own machine.</summary>
internal sealed class KvmRunner(BenchPlan plan, QemuBinary qemu, KvmPeer peer)
{
    private readonly BenchPlan _plan = plan;
    private readonly QemuBinary _qemu = qemu;
    private readonly KvmPeer _peer = peer;

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
        string initrd = _peer.Pack(folder.Path);
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

            Notice.Write($"{what}: booting {_peer.Package}");
            var reader = new KvmProbeReader(what, Tell);
            await KvmHost.RunAsync(_qemu, Machine(what, initrd), folder, reader, _plan.Limit, cancellation)
                .ConfigureAwait(false);
            first ??= reader;
        }

        return new KvmResult
        {
            KernelRelease = first!.KernelRelease,
            Package = _peer.Package,
            ProbeSha256 = _peer.ProbeSha256,
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
        Image = _peer.Kernel,
        Bundle = initrd,
        Append = what.Append,
        CountsInstructions = true,
        HasPort = false,
    };
}
