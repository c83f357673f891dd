using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.Guests;
using Quietus.Cli.Probe;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>The probe's own files: on this host's KVM where there is one, and on Debian's under QEMU.</summary>
public sealed class ProbeTests
{
    [Fact]
    public async Task Here_each_way_is_measured_and_nothing_is_left()
    {
        ProbeProgram.SkipWithoutKvm();
        using var probe = ProbeProgram.Probe("--memory", "8M", "--pages", "4k", "--repeat", "1", "--json", "-");
        (int code, string output, string errors) = await probe.FinishAsync();
        code.ShouldBe(0, errors);
        ProbeResult result = ProbeResult.Parse("here", output);
        string[] ways = [.. result.Rows.Select(row => row.Way)];
        ways.ShouldBe(["close", "kill", "munmap", "dontneed", "slot", "punch", "munmap-no-vm", "kill-no-vm"]);
        result.Rows.ShouldAllBe(row => row["total_ns"] > 0);
        result.Rows.Where(row => !row.Way.EndsWith("-no-vm", StringComparison.Ordinal))
            .ShouldAllBe(row => row["create_vm_ns"] > 0 && row["touch_ns"] > 0 && row["touch_again_ns"] > 0);
        result.Row("4k", 8 << 20, ProbeWay.Slot)!["retouch_ns"].ShouldBeGreaterThan(0);
        result.HostValue("kernel").ShouldNotBeEmpty();
        probe.Alive().ShouldBe(0);
    }

    [Theory]
    [InlineData("--memory 500G", 2, "more than half of the free memory")]
    [InlineData("--memory 3M", 2, "multiples of 2M")]
    [InlineData("--pages 8k", 2, "hugetlb-1g")]
    [InlineData("--repeat", 2, "without its value")]
    [InlineData("--ways=", 2, "--ways takes")]
    [InlineData("--memory=", 2, "--memory takes")]
    [InlineData("--memory=8M,", 2, "--memory takes")]
    [InlineData("--json=", 2, "--json takes")]
    [InlineData("--nonsense 1", 2, "no such option")]
    [InlineData("--json /nowhere/at/all --memory 4M", 1, "opening the file for --json")]
    public async Task What_cannot_be_is_said_in_one_line(string arguments, int expected, string what)
    {
        ProbeProgram.SkipWithoutKvm();
        using var probe = ProbeProgram.Probe(arguments.Split(' '));
        (int code, string output, string errors) = await probe.FinishAsync();
        code.ShouldBe(expected, errors);
        output.ShouldBeEmpty();
        errors.TrimEnd().Split('\n').ShouldHaveSingleItem().ShouldContain(what);
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("--memory 8M --repeat 1 --quiet")]
    public async Task What_it_prints_fits_80_columns(string arguments)
    {
        ProbeProgram.SkipWithoutKvm();
        using var probe = ProbeProgram.Probe(arguments.Split(' '));
        (int code, string output, string errors) = await probe.FinishAsync();
        code.ShouldBe(0, errors);
        output.Split('\n').Length.ShouldBeGreaterThan(15);
        output.Split('\n').ShouldAllBe(line => line.Length <= 80);
        output.ShouldNotContain("pageswork");
    }

    /// <summary>A stream that is closed is no file's number: what is opened first must not take its place.</summary>
    [Theory]
    [InlineData("exec \"$1\" --memory 4M --pages 4k --repeat 1 --alone --quiet >&-", 0, "")]
    [InlineData("exec \"$1\" --memory 4M --pages 4k --repeat 1 --alone >&- 2>&- <&-", 0, "")]
    [InlineData("ulimit -n 4; exec \"$1\" --memory 4M", 77, "/proc/meminfo")]
    public async Task A_strange_shell_gets_a_plain_answer(string line, int expected, string what)
    {
        ProbeProgram.SkipWithoutKvm();
        using var probe = ProbeProgram.Shell(line);
        (int code, string output, string errors) = await probe.FinishAsync();
        code.ShouldBe(expected, errors);
        output.ShouldBeEmpty();
        errors.ShouldContain(what);
        errors.Split('\n').Length.ShouldBeLessThanOrEqualTo(2);
    }

    [Theory]
    [InlineData("cortex-a72", false)]
    [InlineData("max", true)]
    public async Task Under_QEMU_the_same_file_measures_Debians_KVM(string cpu, bool forcedWriteBack)
    {
        Assert.SkipWhen(LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        string folder = Directory.CreateTempSubdirectory("quietus-probe-").FullName;
        string file = Path.Combine(folder, "p.json");
        using var program = ProbeProgram.Quietus(
            "probe", "--under", "qemu", "--cpu", cpu, "--memory", "16M", "--ways", "close,slot", "--json", file);
        (int code, _, string errors) = await program.FinishAsync();
        code.ShouldBe(0, errors);
        ProbeResult result = ProbeResult.Read(file);
        Directory.Delete(folder, recursive: true);
        result.HostFlag("forced_write_back").ShouldBe(forcedWriteBack);
        ProbeRow close = result.Row("4k", 16 << 20, ProbeWay.Close)!;
        ProbeRow slot = result.Row("4k", 16 << 20, ProbeWay.Slot)!;

        // By docs/against-kvm.md: 85 and 80 instructions a page, and some 110,000 for the VM; 627 and 255.
        close["order_instructions"].ShouldBeInRange(250_000, 600_000);
        slot["order_instructions"].ShouldBeInRange(
            4096 * (forcedWriteBack ? 200 : 600), 4096 * (forcedWriteBack ? 330 : 680));
    }
}
