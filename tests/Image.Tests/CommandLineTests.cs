using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>The command line as a person has it, on the real QEMU and the real image.</summary>
public sealed class CommandLineTests
{
    [Fact]
    public async Task Bench_measures_every_policy_and_both_ways()
    {
        (int code, string output, string errors) = await RunAsync(
            null, string.Empty, "bench", "--guest", "filler", "--memory", "64M", "--policies", "all", "--json", "-");
        code.ShouldBe(0, errors);
        using JsonDocument document = JsonDocument.Parse(output);
        JsonElement[] rows = [.. document.RootElement.GetProperty("rows").EnumerateArray()];
        rows.Length.ShouldBe(14);
        foreach (JsonElement row in rows)
        {
            bool isKill = row.GetProperty("way").GetString() == "kill";
            string policy = row.GetProperty("policy").GetString()!;
            bool elides = policy is "series" or "tables-only" or "fate" || policy == (isKill ? "patch5" : "patch7");
            long pages = row.GetProperty("mapped_pages_4k").GetInt64();
            pages.ShouldBeGreaterThan(48 * 256);
            row.GetProperty("dc_lines").GetInt64().ShouldBe(elides ? 0 : 64 * pages, row.ToString());
        }
    }

    [Theory]
    [InlineData("filler")]
    [InlineData("linux")]
    public async Task Bench_measures_births(string guest)
    {
        Assert.SkipWhen(
            guest == "linux" && LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        (int code, string output, string errors) = await RunAsync(
            null, string.Empty, "bench", "--births", "2", "--guest", guest, "--memory", "64M", "--pages", "4k",
            "--json", "-");
        code.ShouldBe(0, errors);
        using JsonDocument document = JsonDocument.Parse(output);
        document.RootElement.GetProperty("schema").GetString().ShouldBe("quietus.births/1");
        JsonElement row = document.RootElement.GetProperty("rows").EnumerateArray().ShouldHaveSingleItem();
        row.GetProperty("template").GetString().ShouldBe(guest);
        row.GetProperty("birth_instructions").GetInt64().ShouldBeInRange(100, 5000);
        row.GetProperty("reset_instructions").GetInt64().ShouldBeInRange(100, 7000);
        row.GetProperty("kill_instructions").GetInt64().ShouldBeInRange(100, 2000);

        // A child runs on while the host asks what it owns, and on a busy host it comes further.
        row.GetProperty("owned_bytes_after_birth").GetInt64().ShouldBeInRange(8192, 1024 * 1024);
        if (guest == "filler")
        {
            row.GetProperty("read_faults").GetInt64().ShouldBe(0);
            row.GetProperty("write_fault_instructions").GetDouble().ShouldBeInRange(100, 1050);
            row.GetProperty("ready_instructions").ValueKind.ShouldBe(JsonValueKind.Null);
        }
        else
        {
            long ready = row.GetProperty("ready_instructions").GetInt64();
            row.GetProperty("boot_instructions").GetInt64().ShouldBeGreaterThan(5 * ready);
            row.GetProperty("owned_bytes_after_command").GetInt64().ShouldBeGreaterThan(64 * 1024);
        }
    }

    /// <summary>
    /// Each figure has its promise for a bound, but the lateness of a timer, which the host moves by some 50 us: it
    /// says when the guests begin.
    /// </summary>
    [Fact]
    public async Task Bench_measures_many_VMs_and_what_they_cost_each_other()
    {
        (_, string output, string errors) = await RunAsync(
            null, string.Empty, "bench", "--many", "20", "--guest", "filler", "--json", "-");
        output.ShouldStartWith("{", customMessage: errors);
        using JsonDocument document = JsonDocument.Parse(output);
        document.RootElement.GetProperty("schema").GetString().ShouldBe("quietus.many/1");
        document.RootElement.GetProperty("answered_vms").GetInt32().ShouldBe(20);
        Dictionary<string, double> figures = document.RootElement.GetProperty("rows").EnumerateArray().ToDictionary(
            row => row.GetProperty("figure").GetString()!, row => row.GetProperty("value").GetDouble());
        figures["switch_instructions"].ShouldBeInRange(500, 1100);
        figures["wake_and_block_instructions"].ShouldBeInRange(1000, 2400);
        figures["share_error_percent"].ShouldBeInRange(0, 3);
        figures["weighted_share_error_percent"].ShouldBeInRange(0, 3);
        figures["wake_p99_ns"].ShouldBeInRange(1000, 1_000_000);
        figures["timer_p99_ns"].ShouldBeInRange(1000, 400_000);
        figures["owned_median_bytes"].ShouldBeInRange(8192, 1024 * 1024);
        figures["kill_among_instructions"].ShouldBeInRange(300, 1.05 * figures["kill_alone_instructions"]);
        figures["lost_frames"].ShouldBe(0);

        // They wait without a timer: it is what the order that asks for it costs.
        figures["idle_core_percent"].ShouldBeInRange(0.0001, 2.0 * 20 / 1000);
    }

    [Fact]
    public async Task Bench_measures_births_under_KVM()
    {
        Assert.SkipWhen(LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        (int code, string output, string errors) = await RunAsync(
            null, string.Empty, "bench", "--births", "1", "--against", "kvm", "--memory", "64M", "--json", "-");
        code.ShouldBe(0, errors);
        using JsonDocument document = JsonDocument.Parse(output);
        JsonElement pair = document.RootElement.GetProperty("kvm").GetProperty("comparisons").EnumerateArray()
            .ShouldHaveSingleItem();
        pair.GetProperty("birth_ratio").GetDouble().ShouldBeInRange(50, 200);
        pair.GetProperty("birth_whole_ratio").GetDouble().ShouldBeGreaterThan(150);
        pair.GetProperty("quietus_read_faults").GetInt64().ShouldBe(0);
        pair.GetProperty("write_ratio").GetDouble().ShouldBeInRange(4, 20);
        (pair.GetProperty("kvm_read_instructions").GetInt64() / pair.GetProperty("kvm_read_pages_4k").GetInt64())
            .ShouldBeInRange(1000, 20_000);
    }

    [Fact]
    public async Task Bench_measures_the_same_under_KVM()
    {
        Assert.SkipWhen(LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        (int code, string output, string errors) = await RunAsync(
            null, string.Empty, "bench", "--against", "kvm", "--memory", "64M", "--json", "-");
        code.ShouldBe(0, errors);
        using JsonDocument document = JsonDocument.Parse(output);
        JsonElement[] pairs =
            [.. document.RootElement.GetProperty("kvm").GetProperty("comparisons").EnumerateArray()];
        pairs.Length.ShouldBe(2);
        foreach (JsonElement pair in pairs)
        {
            // What the VM costs is less than all, and so is what the host costs by itself.
            long whole = pair.GetProperty("kvm_instructions").GetInt64();
            long share = pair.GetProperty("kvm_stage2_instructions").GetInt64();
            long host = pair.GetProperty("no_vm_instructions").GetInt64();
            share.ShouldBeInRange(1, whole);
            host.ShouldBeInRange(1, whole);
            pair.GetProperty("ratio").GetDouble()
                .ShouldBeGreaterThan(pair.GetProperty("way").GetString() == "kill" ? 3000 : 20, pair.ToString());
        }
    }

    [Theory]
    [InlineData("fill=8M check=zero then=off", 0, "8 MB dirtied")]
    [InlineData("test=badhvc then=reset", 3, "guest reset")]
    [InlineData("fill=8M then=crash", 1, "exception vectors are in no memory")]
    [InlineData("fill=2G then=off", 1, "test failed")]
    public async Task Run_ends_as_the_guest_does(string append, int expected, string said)
    {
        (int code, string output, string errors) = await RunAsync(
            null, string.Empty, "run", "--guest", "filler", "--memory", "64M", "--append", append, "--no-reboot",
            "--timeout", "120");
        code.ShouldBe(expected, errors);
        errors.ShouldContain(said);
        output.ShouldContain("filler: 64 MB");
    }

    /// <summary>
    /// A kernel without any header, with a RAM disk that is no archive: it prints, looks for flash, virtio and its
    /// device tree where QEMU's virt has them, and powers off.
    /// </summary>
    [Fact]
    public async Task Run_starts_a_flat_image_as_QEMU_would()
    {
        // Each byte of "flat: hello" to [0x9000000]; if [0] == 0, [0xa000e00] == "virt", [0xa000e08] == 0 and
        // [x0] == d00dfeed: "flat: good", too; x0 = 0x84000008; hvc #0
        byte[] program = Convert.FromHexString(
            "F30300AAA1040058620300104314403863000034230000B9FDFFFF17020080D2430040B9E2030058440040B9450840B9"
            + "060300189F00066B810100546501003543010035630240B9660200187F00066BC1000054620100504314403863000034"
            + "230000B9FDFFFF1700020058020000D4FEFFFF17666C61743A2068656C6C6F0D0A00666C61743A20676F6F640D0A0000"
            + "76697274D00DFEED0000000900000000000E000A000000000800008400000000");
        string folder = Directory.CreateTempSubdirectory("quietus-flat-").FullName;
        try
        {
            string kernel = Path.Combine(folder, "flat");
            string ramdisk = Path.Combine(folder, "ramdisk");
            await File.WriteAllBytesAsync(kernel, program, TestMachine.Cancellation);
            await File.WriteAllTextAsync(ramdisk, "no archive", TestMachine.Cancellation);
            string[] run = ["run", "--kernel", kernel, "--memory", "64M", "--timeout", "120"];
            (int code, string output, string errors) = await RunAsync(
                null, string.Empty, [.. run, "--initrd", ramdisk]);
            code.ShouldBe(0, errors);
            output.ShouldBe("flat: hello\r\nflat: good\r\n");
            errors.ShouldContain("flat image at 0x40080000");

            // A Linux Image for pages of 16 KB, which a Cortex-A72 does not have.
            byte[] image = new byte[4096];
            image[16 + 2] = 1;
            image[24] = 2 << 1;
            "ARM\x64"u8.CopyTo(image.AsSpan(56));
            await File.WriteAllBytesAsync(kernel, image, TestMachine.Cancellation);
            (code, _, errors) = await RunAsync(null, string.Empty, run);
            code.ShouldNotBe(0);
            errors.ShouldContain("page size");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task Run_gives_Linux_what_is_typed()
    {
        Assert.SkipWhen(LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        (int code, string output, string errors) = await RunAsync(
            "quietus-guest: shell ready",
            "echo answer=$((6 * 7))\npoweroff -f\n",
            "run", "--guest", "linux", "--memory", "256M", "--cpus", "2", "--append", "quiet", "--timeout", "150");
        code.ShouldBe(0, errors);
        output.ShouldContain("answer=42");
        errors.ShouldContain("guest power-off");
    }

    [Fact]
    public async Task Run_gives_each_line_to_a_fresh_child_with_random_numbers_of_its_own()
    {
        Assert.SkipWhen(LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        const string Line = "cat /tmp/x; echo mine >/tmp/x; cat /tmp/x; cat /proc/sys/kernel/random/uuid\n";
        (int code, string output, string errors) = await RunAsync(
            null, Line + Line, "run", "--from-template", "--memory", "256M", "--append", "quiet", "--timeout", "150");
        code.ShouldBe(0, errors);
        errors.ShouldContain("child 2: born after");
        string[] lines = [.. output.Split('\n').Select(line => line.Trim())];
        lines.Count(line => line == "mine").ShouldBe(2);
        lines.Where(line => Guid.TryParseExact(line, "D", out _)).Distinct().Count().ShouldBe(2);
    }

    [Theory]
    [InlineData("filler", "30", "mixed")]
    [InlineData("linux", "4", "filled")]
    public async Task Bench_churns_children_of_a_template_and_loses_nothing(string guest, string count, string lifetime)
    {
        Assert.SkipWhen(
            guest == "linux" && LinuxGuest.Cached() is null, $"no Linux kernel is cached in {Folders.Cache}");
        (int code, string output, string errors) = await RunAsync(
            null, string.Empty, "bench", "--churn", count, "--from", "template", "--guest", guest, "--lifetime",
            lifetime, "--pages", "4k", "--json", "-");
        code.ShouldBe(0, errors);
        using JsonDocument document = JsonDocument.Parse(output);
        document.RootElement.GetProperty("lost_bytes").GetInt64().ShouldBe(0);
        JsonElement birth = document.RootElement.GetProperty("phases")[0];
        birth.GetProperty("phase").GetString().ShouldBe("birth");
        birth.GetProperty("count").GetInt32().ShouldBe(int.Parse(count, CultureInfo.InvariantCulture));
        birth.GetProperty("max_instructions").GetInt64().ShouldBeInRange(100, 5000);
    }

    /// <summary>Runs it to its end.</summary>
    /// <param name="prompt">What it has to write before it gets the input; null when it gets it at once.</param>
    /// <param name="input">What it reads.</param>
    /// <param name="arguments">Its arguments.</param>
    private static async Task<(int Code, string Output, string Errors)> RunAsync(
        string? prompt, string input, params string[] arguments)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestMachine.Cancellation);
        limit.CancelAfter(2 * TestMachine.Patience);
        string program = Path.Combine(AppContext.BaseDirectory, "quietus.dll");
        string dotnet = Programs.Find("dotnet").ShouldNotBeNull();
        using Process process = await ChildKeeper.StartAsync(
            ChildKeeper.Describe(dotnet, [program, .. arguments]));
        try
        {
            Task<string> errors = process.StandardError.ReadToEndAsync(limit.Token);
            var output = new StringBuilder();
            string? line = string.Empty;
            while (prompt is not null && line is not null && !line.Contains(prompt, StringComparison.Ordinal))
            {
                line = await process.StandardOutput.ReadLineAsync(limit.Token);
                output.AppendLine(line);
            }

            await process.StandardInput.WriteAsync(input.AsMemory(), limit.Token);
            process.StandardInput.Close();
            output.Append(await process.StandardOutput.ReadToEndAsync(limit.Token));
            await process.WaitForExitAsync(limit.Token);
            return (process.ExitCode, output.ToString(), await errors);
        }
        finally
        {
            ChildKeeper.Kill(process);
        }
    }
}
