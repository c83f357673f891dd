using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// What is left of a probe that is killed: no process, no page of a pool, no reservation, no changed setting. It is
/// killed when a state is reached, not at a moment.
/// </summary>
public sealed class ProbeKillTests
{
    private const int MostAttempts = 50;

    /// <summary>Settings that a prober might want to change.</summary>
    private static readonly string[] _settings =
    [
        "/proc/sys/vm/nr_hugepages", "/proc/sys/vm/nr_overcommit_hugepages", "/proc/sys/kernel/perf_event_paranoid",
        "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm/transparent_hugepage/defrag",
    ];

    [Theory]
    [InlineData("close", 2)]
    [InlineData("kill", 2)]
    [InlineData("slot", 2)]
    [InlineData("punch", 2)]
    [InlineData("kill", 3)]
    [InlineData("munmap", 3)]
    public async Task Its_children_end_with_it(string way, int processes)
    {
        ProbeProgram.SkipWithoutKvm();
        string[] before = [.. _settings.Select(Read)];

        // Three processes: it, a VM that dies, and a neighbour or a second one that is killed at the same time. They
        // are there for a moment only; a probe that came to its end before they were seen is begun again.
        for (int i = 0; ; i++)
        {
            using var probe = ProbeProgram.Probe(
                "--memory", "8M", "--pages", "4k", "--ways", way, "--repeat", processes == 3 ? "3" : "100");
            await ProbeProgram.AwaitAsync(
                () => probe.HasExited || probe.Alive() >= processes, $"{processes} processes");
            if (!probe.HasExited || i == MostAttempts)
            {
                await KillAndLookAsync(probe);
                break;
            }
        }

        _settings.Select(Read).ShouldBe(before);
    }

    [Theory]
    [InlineData(2048, "close")]
    [InlineData(2048, "kill")]
    [InlineData(2048, "munmap")]
    [InlineData(2048, "dontneed")]
    [InlineData(2048, "slot")]
    [InlineData(2048, "punch")]
    [InlineData(1048576, "kill", Explicit = true)] // A page of 1 GB is put together in up to half a minute.
    [InlineData(1048576, "punch", Explicit = true)]
    public async Task Pages_and_reservations_of_a_pool_come_back(int kilobytes, string way)
    {
        ProbeProgram.SkipWithoutKvm();
        bool isSmall = kilobytes == 2048;
        using HugePagePool pool = HugePagePool.Grow(kilobytes, isSmall ? 4 : 1);
        (long free, long reserved, long total) = (pool.Free, pool.Reserved, pool.Total);
        using var probe = ProbeProgram.Probe(
            "--memory", isSmall ? "8M" : "1G", "--pages", isSmall ? "hugetlb-2m" : "hugetlb-1g", "--ways", way,
            "--repeat", "100");

        // Some are taken, or spoken for.
        await ProbeProgram.AwaitAsync(
            () => probe.HasExited || pool.Free < free || pool.Reserved > reserved, "pages of the pool in use");
        await KillAndLookAsync(probe);
        await ProbeProgram.AwaitAsync(
            () => pool.Free == free && pool.Reserved == reserved, "the pool as it was before");
        pool.Total.ShouldBe(total);
    }

    private static async Task KillAndLookAsync(ProbeProgram probe)
    {
        if (probe.HasExited)
        {
            (int code, _, string errors) = await probe.FinishAsync();
            Assert.Fail($"it ended with {code} before it was killed: {errors}");
        }

        await probe.KillAsync();
        await ProbeProgram.AwaitAsync(() => probe.Alive() == 0, "no process left");
    }

    private static string Read(string path) => File.Exists(path) ? File.ReadAllText(path) : "none";
}
