using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Bench;

/// <summary><c>quietus bench --against kvm</c>: the same deaths under KVM, on the same machine.</summary>
internal static partial class BenchVerb
{
    /// <summary>
    /// The largest VM: in a machine of the same size, Linux has to have its page structures and tables as well, about
    /// 20 MB for each gigabyte.
    /// </summary>
    public const long MostAgainst = 3 * ByteSize.Gigabyte;

    /// <summary>
    /// The smallest VM by huge pages: with less than 512 MB of memory Linux turns transparent ones off at its start
    /// (hugepage_init in mm/huge_memory.c), and the machine has little more than the VM.
    /// </summary>
    private const long LeastHuge = 512 * ByteSize.Megabyte;

    private static readonly Value<string?> _against = Values.Choice(
        "--against", "peer",
        "Measure a peer beside Quietus: kvm (Debian's kernel on the same machine) [default memory: 1G]", "peer",
        ["kvm"]);

    /// <summary>
    /// The plan of a comparison: our best policy and a guest that both sides can have, one vCPU, nothing else.
    /// </summary>
    private static BenchPlan ReadPlanAgainst(ParseResult result)
    {
        CommonOptions.Refuse(
            result, [_guest, _policies, _fate, _cpus, _jobs, _shard], "beside --against",
            "both sides have a small guest of ours with 1 vCPU, and Quietus its policy fate");
        IReadOnlyList<long> memory = _memory.Of(result, "1G");
        IReadOnlyList<string> pages = _pages.Of(result);
        if (memory.Max() > MostAgainst)
        {
            throw CliException.Usage(
                $"Linux has no room for a VM of {ByteSize.Format(memory.Max())} in the machine that Quietus needs",
                $"--against takes up to --memory {ByteSize.FormatOption(MostAgainst)}");
        }

        if (pages.Contains("auto"))
        {
            throw CliException.Usage("--pages auto has no counterpart in KVM", "--against takes --pages 4k,2m");
        }

        if (pages.Contains("2m") && memory.Min() < LeastHuge)
        {
            throw CliException.Usage(
                $"Linux takes no huge pages for a VM of {ByteSize.Format(memory.Min())}: its machine is too small",
                $"--against takes --pages 2m from --memory {ByteSize.FormatOption(LeastHuge)} on");
        }

        return new BenchPlan
        {
            Cpu = _cpu.Of(result),
            Cpus = 1,
            Guests = [GuestPayload.MakeFiller()],
            MemoryBytes = memory,
            Pages = pages,
            Policies = [MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate)],
            Jobs = 1,
            // The probe measures what is small three times before it says something.
            Limit = _timeout.Of(result) ?? (3 * DefaultLimit(memory.Max())),
        };
    }

    /// <summary>Both sides, ours first: it is the quicker one.</summary>
    private static async Task<BenchResult> MeasureAgainstAsync(
        BenchPlan plan, QemuBinary qemu, string image, CancellationToken cancellation)
    {
        // What is missing is told before anything is measured.
        var peer = new KvmRunner(plan, qemu, KvmPeer.Find("./quietus bench --against kvm"));
        BenchResult ours = await MeasureAsync(plan, qemu, image, RepeatAgainst(plan), [], cancellation)
            .ConfigureAwait(false);
        return ours.IsComplete
            ? ours with { Kvm = await peer.RunAsync(cancellation).ConfigureAwait(false) }
            : ours;
    }

    private static string RepeatAgainst(BenchPlan plan) =>
        $"./quietus bench --against kvm --memory {string.Join(',', plan.MemoryBytes.Select(ByteSize.FormatOption))}"
            + $" --pages {string.Join(',', plan.Pages)} --cpu {plan.Cpu.Name}";
}
