using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>What the image needs and does not find is an error that says so.</summary>
public sealed class WrongMachineTests
{
    [Theory]
    [InlineData("virt,virtualization=off,gic-version=3", "a hypervisor needs EL2")]
    [InlineData("virt,virtualization=on,gic-version=2", "a GICv3 is needed")]
    public async Task A_machine_without_what_is_needed_is_refused_with_the_reason(string board, string reason)
    {
        IReadOnlyList<string> arguments =
        [
            .. Board(null).Arguments().Select(
                argument => argument.StartsWith("virt,", StringComparison.Ordinal) ? board : argument),
        ];
        await using RawMachine machine = await RawMachine.StartAsync(arguments);
        await machine.HearAsync(reason);
        await machine.ShouldEndAsync();
    }

    /// <summary>Another board than virt: RAM from address 0 on, and everything else where it is not on virt.</summary>
    [Fact]
    public async Task Xilinx_Versal_runs_a_guest()
    {
        await using RawMachine machine = await RawMachine.StartAsync(
        [
            "-M", "xlnx-versal-virt", "-m", "1G", "-kernel", Folders.Image, "-nic", "none", "-display", "none",
            "-monitor", "none", "-no-reboot", "-chardev", "stdio,id=uart,signal=off", "-serial", "chardev:uart",
        ]);
        await machine.HearAsync("quietus> ");
        await machine.TypeAsync(
            "create guest=filler memory=64M pages=4k policy=fate append=\"fill=16M check=zero then=off\"\n");
        await machine.HearAsync("ok vm=1");
        await machine.TypeAsync("start vm=1\n");
        await machine.HearAsync("guest power-off");
        await machine.TypeAsync("off\n");
        await machine.ShouldEndAsync();
    }

    [Fact]
    public async Task A_damaged_archive_of_guests_is_an_error_when_Linux_is_asked_for()
    {
        // A file without a known header would be taken for a flat image.
        byte[] kernel = [0x7F, (byte)'E', (byte)'L', (byte)'F', .. new byte[70_000]];
        byte[] whole = MakeArchive(kernel, new byte[50_000]);
        foreach ((byte[] bundle, string code) in ((byte[], string)[])[
            (whole[..40_000], "bad-bundle"),
            (whole[..100], "bad-bundle"),
            (whole[..90_000], "bad-bundle"),
            (new byte[4096], "bad-bundle"),
            (whole, "bad-kernel"),
            (MakeArchive([], []), "bad-kernel"),
        ])
        {
            await ShouldRefuseLinuxAsync(bundle, code);
        }
    }

    private static async Task ShouldRefuseLinuxAsync(byte[] bundle, string code)
    {
        var folder = new RunFolder();
        string path = Path.Combine(folder.Path, "guests.cpio");
        await File.WriteAllBytesAsync(path, bundle, TestMachine.Cancellation);
        await using TestMachine machine = await TestMachine.BootAsync(Board(path), folder);
        await machine.ShouldRefuseAsync("create guest=linux memory=128M pages=4k policy=fate", code);
        KeyValueLine about = await machine.AskAsync("machine");
        if (about.Value("guests") == "filler")
        {
            about.Value("bundle_problem").ShouldNotBeNull().ShouldContain("cpio archive");
        }

        TestVm vm = await machine.RunAsync("fill=1M then=off");
        (await vm.StoppedWellAsync()).ShouldBe("guest power-off");
        await machine.ShouldBeUnharmedAsync();
    }

    private static byte[] MakeArchive(byte[] kernel, byte[] ramdisk)
    {
        using var stream = new MemoryStream();
        var archive = new CpioWriter(stream);
        archive.Add("linux/Image", new MemoryStream(kernel), kernel.Length);
        archive.Add("linux/initrd", new MemoryStream(ramdisk), ramdisk.Length);
        archive.Finish();
        return stream.ToArray();
    }

    private static QemuMachine Board(string? bundle) => new()
    {
        Cpu = "cortex-a72",
        Processors = 2,
        MemoryBytes = 256 * ByteSize.Megabyte,
        Image = Folders.Image,
        Bundle = bundle,
        HasPort = false,
    };
}
