using System.Collections.Generic;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Births;

/// <summary>Carries out the KVM side: a boot for each size, on the machine that Quietus has.</summary>
internal sealed class KvmBirthsRunner(BirthsPlan plan, QemuBinary qemu, KvmPeer peer)
{
    public async Task<KvmBirthsResult> RunAsync(CancellationToken cancellation)
    {
        using var folder = new RunFolder();
        string initrd = peer.Pack(folder.Path);
        List<KvmBirthsRow> rows = [];
        KvmBirthsReader? first = null;
        foreach (long memory in plan.MemoryBytes)
        {
            var what = new KvmBirthsCase(memory);
            Notice.Write($"{what}: booting {peer.Package}");
            var reader = new KvmBirthsReader(what, Tell);
            await KvmHost.RunAsync(qemu, Machine(what, initrd), folder, reader, plan.Limit, cancellation)
                .ConfigureAwait(false);
            first ??= reader;
        }

        return new KvmBirthsResult
        {
            KernelRelease = first!.KernelRelease,
            Package = peer.Package,
            ProbeSha256 = peer.ProbeSha256,
            QemuCommand = Machine(new KvmBirthsCase(plan.MemoryBytes[0]), "initrd").CommandLine(QemuBinary.Name),
            EmptyInstructions = first.EmptyInstructions,
            Rows = rows,
        };

        void Tell(KvmBirthsRow row)
        {
            rows.Add(row);
            Notice.Progress(string.Create(
                CultureInfo.InvariantCulture,
                $"[{rows.Count}/{plan.MemoryBytes.Count * KvmBirthsReader.Ways.Length}] {row.Case} {row.Way.Name()}: "
                    + $"{Counted.Of(row.Instructions, "instruction")}"));
        }
    }

    private QemuMachine Machine(KvmBirthsCase what, string initrd) => new()
    {
        Cpu = plan.Cpu.QemuName,
        Processors = 1 + plan.Cpus,
        MemoryBytes = plan.MachineBytes(what.MemoryBytes),
        Image = peer.Kernel,
        Bundle = initrd,
        Append = what.Append,
        CountsInstructions = true,
        HasPort = false,
    };
}
