using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Quietus.Cli.Guests;
using Quietus.Cli.Probe;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// <c>probe --under qemu</c> and <c>bench --against kvm</c> are two programs; what both measure must be one thing.
/// </summary>
public sealed class ProbeAgreementTests(ITestOutputHelper output)
{
    private const double Most = 0.02;
    private const long Bytes = 64 << 20;

    /// <summary>
    /// A minute each, so for <c>./test --long</c>. With less memory a timer tick is more than 2 % of a <c>close</c>.
    /// </summary>
    [Theory(Explicit = true)]
    [InlineData("cortex-a72")]
    [InlineData("max")]
    public async Task Every_window_that_both_have_takes_as_many_instructions(string cpu)
    {
        Assert.SkipWhen(LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        string folder = Directory.CreateTempSubdirectory("quietus-agree-").FullName;
        string ours = Path.Combine(folder, "bench.json");
        string theirs = Path.Combine(folder, "probe.json");

        // The filler leaves 16 MB alone, so its VM has as much more.
        await RunAsync(
            "bench", "--against", "kvm", "--cpu", cpu, "--memory", "80M", "--timeout", "600", "--json", ours);
        await RunAsync(
            "probe", "--under", "qemu", "--cpu", cpu, "--memory", "64M", "--ways", "close,slot,munmap,kill",
            "--repeat", "3", "--json", theirs);
        using JsonDocument bench = JsonDocument.Parse(await File.ReadAllTextAsync(
            ours, TestContext.Current.CancellationToken));
        JsonElement[] rows = [.. bench.RootElement.GetProperty("kvm").GetProperty("rows").EnumerateArray()];
        ProbeResult probe = ProbeResult.Read(theirs);
        Directory.Delete(folder, recursive: true);

        Agree("close", "close", "instructions", "order_instructions");
        Agree("slot-removal", "slot", "instructions", "order_instructions");
        Agree("munmap", "munmap", "instructions", "order_instructions");
        Agree("munmap-no-vm", "munmap-no-vm", "instructions", "order_instructions");

        // The probe counts no instructions of a kill, in which two processes have a part; both tell its virtual time.
        Agree("kill", "kill", "virtual_ns", "total_ns");
        Agree("kill-no-vm", "kill-no-vm", "virtual_ns", "total_ns");

        void Agree(string benchWay, string probeWay, string benchKey, string probeKey)
        {
            double one = rows.Single(row => row.GetProperty("way").GetString() == benchWay)
                .GetProperty(benchKey).GetDouble();
            double other = probe.Rows.Single(row => row.Way == probeWay && row.MemoryBytes == Bytes)[probeKey];
            output.WriteLine($"{cpu} {benchWay} {benchKey}: bench {one:N0}, probe {other:N0}, {(other / one) - 1:P2}");
            (other / one).ShouldBeInRange(1 - Most, 1 + Most, $"{cpu} {benchWay}");
        }
    }

    private static async Task RunAsync(params string[] words)
    {
        using var program = ProbeProgram.Quietus(words);
        (int code, _, string errors) = await program.FinishAsync();
        code.ShouldBe(0, errors);
    }
}
