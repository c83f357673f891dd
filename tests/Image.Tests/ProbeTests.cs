using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Guests;
using Quietus.Cli.Probe;
using Quietus.Cli.Processes;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>The probe's own files: on this host's KVM where there is one, and on Debian's under QEMU.</summary>
public sealed class ProbeTests
{
    private static readonly TimeSpan _patience = TimeSpan.FromMinutes(2);

    [Fact]
    public async Task Here_each_way_is_measured_and_nothing_is_left()
    {
        SkipWithoutKvm();
        (int code, string output, string errors) = await RunAsync(
            "--memory", "8M", "--pages", "4k", "--repeat", "1", "--json", "-");
        code.ShouldBe(0, errors);
        ProbeResult result = ProbeResult.Parse("here", output);
        string[] ways = [.. result.Rows.Select(row => row.Way)];
        ways.ShouldBe(["close", "kill", "munmap", "dontneed", "slot", "punch", "munmap-no-vm", "kill-no-vm"]);
        result.Rows.ShouldAllBe(row => row["total_ns"] > 0);
        result.Rows.Where(row => !row.Way.EndsWith("-no-vm", StringComparison.Ordinal))
            .ShouldAllBe(row => row["create_vm_ns"] > 0 && row["touch_ns"] > row["touch_again_ns"]);
        result.Row("4k", 8 << 20, ProbeWay.Slot)!["retouch_ns"].ShouldBeGreaterThan(0);
        result.HostValue("kernel").ShouldNotBeEmpty();
        Children().ShouldBe(0);
    }

    [Fact]
    public async Task A_probe_that_is_killed_takes_its_children_with_it()
    {
        SkipWithoutKvm();
        using Process probe = Start("--memory", "64M", "--pages", "4k", "--repeat", "100", "--ways", "kill");
        await Task.Delay(1500, TestContext.Current.CancellationToken);
        probe.HasExited.ShouldBeFalse();
        probe.Kill();
        await probe.WaitForExitAsync(TestContext.Current.CancellationToken);
        for (int i = 0; i < 100 && Children() != 0; i++)
        {
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        Children().ShouldBe(0);
    }

    [Theory]
    [InlineData("--memory 500G", 2, "more than half of the free memory")]
    [InlineData("--memory 3M", 2, "multiples of 2M")]
    [InlineData("--pages 8k", 2, "hugetlb-1g")]
    [InlineData("--repeat", 2, "without its value")]
    [InlineData("--nonsense 1", 2, "no such option")]
    [InlineData("--json /nowhere/at/all --memory 4M", 1, "opening the file for --json")]
    public async Task What_cannot_be_is_said_in_one_line(string arguments, int expected, string what)
    {
        SkipWithoutKvm();
        (int code, string output, string errors) = await RunAsync(arguments.Split(' '));
        code.ShouldBe(expected, errors);
        output.ShouldBeEmpty();
        errors.TrimEnd().Split('\n').ShouldHaveSingleItem().ShouldContain(what);
    }

    [Theory]
    [InlineData("cortex-a72", false)]
    [InlineData("max", true)]
    public async Task Under_QEMU_the_same_file_measures_Debians_KVM(string cpu, bool forcedWriteBack)
    {
        Assert.SkipWhen(LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        string folder = Directory.CreateTempSubdirectory("quietus-probe-").FullName;
        string file = Path.Combine(folder, "p.json");
        var start = new ProcessStartInfo("dotnet") { RedirectStandardError = true, RedirectStandardOutput = true };
        string[] words = ["probe", "--under", "qemu", "--cpu", cpu, "--memory", "16M", "--ways", "close,slot",
            "--json", file];
        foreach (string word in words.Prepend(Path.Combine(AppContext.BaseDirectory, "quietus.dll")))
        {
            start.ArgumentList.Add(word);
        }

        (int code, _, string errors) = await FinishAsync(Process.Start(start)!);
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

    private static void SkipWithoutKvm()
    {
        Assert.SkipUnless(File.Exists("/dev/kvm"), "this host has no /dev/kvm");
        try
        {
            using FileStream kvm = File.Open("/dev/kvm", FileMode.Open, FileAccess.ReadWrite);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Assert.Skip($"/dev/kvm cannot be opened: {error.Message}");
        }
    }

    /// <summary>Processes of the probe's name that have not ended.</summary>
    private static int Children() => Directory.EnumerateDirectories("/proc").Count(folder =>
    {
        try
        {
            return File.ReadAllText(Path.Combine(folder, "comm")).StartsWith("quietus-probe", StringComparison.Ordinal)
                && !File.ReadAllText(Path.Combine(folder, "stat")).Contains(") Z ", StringComparison.Ordinal);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    });

    private static Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(ProbeRunner.File(ProbeRunner.IsArm64Here))
        {
            RedirectStandardError = true, RedirectStandardOutput = true,
        };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }

    private static Task<(int Code, string Output, string Errors)> RunAsync(params string[] arguments) =>
        FinishAsync(Start(arguments));

    private static async Task<(int Code, string Output, string Errors)> FinishAsync(Process process)
    {
        using (process)
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
            limit.CancelAfter(_patience);
            Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
            Task<string> errors = process.StandardError.ReadToEndAsync(limit.Token);
            try
            {
                await process.WaitForExitAsync(limit.Token);
                return (process.ExitCode, await output, await errors);
            }
            finally
            {
                if (!process.HasExited)
                {
                    process.Kill(entireProcessTree: true);
                }
            }
        }
    }
}
