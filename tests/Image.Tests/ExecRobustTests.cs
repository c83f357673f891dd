using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Formats.Tar;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Exec;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Templates;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>
/// <c>exec</c> on real VMs where programs are hostile, folders go in and out, and images are a disk, layers, or
/// Debian's own packages.
/// </summary>
public sealed class ExecRobustTests
{
    private const long Memory = 128 * ByteSize.Megabyte;

    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(5);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static string Linux => Path.Combine(Folders.Cache, "linux");

    [Fact]
    public async Task Whatever_a_program_does_to_its_VM_the_host_has_an_answer_and_the_next_VM_is_whole()
    {
        using var folder = new RunFolder();
        await using Guest guest = await Guest.StartAsync(folder, image: null);

        // No process is left for anything else, until the time is over.
        JobOutcome bomb = await guest.RunAsync(
            "b() { b | b & }; b; while :; do sleep 1; done", limit: TimeSpan.FromSeconds(10));
        bomb.Code.ShouldBeOneOf(ExitCode.TimeLimit, 2, ExitCode.Signalled + 9);

        // A program without its descriptors ends as any other.
        (await guest.RunAsync("exec 0<&- 1>&- 2>&-; exit 5")).Code.ShouldBe(5);
        (await guest.RunAsync("exec 1>&- 2>&-; for d in 3 4 5 6 7 8 9; do eval \"exec $d<&-\"; done; exit 6"))
            .Code.ShouldBe(6);

        // A killed agent is a dead VM, and an error that says so.
        foreach (string kill in (string[])["kill -9 $PPID; sleep 100", "kill -9 -1; sleep 100"])
        {
            CliException error = await Should.ThrowAsync<CliException>(() => guest.RunAsync(kill));
            error.Message.ShouldContain("the VM has ended under the program");
            error.Message.ShouldContain("agent was killed");
        }

        // Memory that ends ends programs, and not the agent.
        (await guest.RunAsync("x=a; while :; do x=$x$x; done; echo here")).Code.ShouldNotBe(0);
        (await guest.RunAsync("echo whole")).Code.ShouldBe(0);
        guest.Output.ShouldEndWith("whole\n");
    }

    [Fact]
    public async Task Folders_go_in_and_come_out_as_they_were()
    {
        using var folder = new RunFolder();
        string source = Path.Combine(folder.Path, "source");
        Directory.CreateDirectory(Path.Combine(source, "deep/er"));
        File.WriteAllText(Path.Combine(source, "run"), "#!/bin/sh\necho ran\n");
        File.SetUnixFileMode(Path.Combine(source, "run"), (UnixFileMode)0x1ED);
        byte[] large = new byte[300_000];
        new Random(14).NextBytes(large);
        File.WriteAllBytes(Path.Combine(source, "deep/er/large"), large);
        File.CreateSymbolicLink(Path.Combine(source, "link"), "deep/er/large");
        string target = Path.Combine(folder.Path, "target");
        await using Guest guest = await Guest.StartAsync(folder, image: null);
        JobOutcome outcome = await guest.RunAsync(
            "/job/in/run && cp -a /job/in/. /job/out && echo more >/job/out/more && mkdir /job/out/empty",
            copies: ([FileCopy.ReadIn($"{source}:/job/in")], [FileCopy.ReadOut($"/job/out/:{target}")]),
            before: "mkdir -p /job/out");
        outcome.Code.ShouldBe(0, guest.Output);
        guest.Output.ShouldBe("ran\n");
        File.ReadAllBytes(Path.Combine(target, "link")).AsSpan().SequenceEqual(large).ShouldBeTrue();
        ((int)File.GetUnixFileMode(Path.Combine(target, "run"))).ShouldBe(0x1ED);
        File.ReadAllText(Path.Combine(target, "more")).ShouldBe("more\n");
        Directory.Exists(Path.Combine(target, "empty")).ShouldBeTrue();

        // What the guest says is a folder, and what is none.
        CliException error = await Should.ThrowAsync<CliException>(() => guest.RunAsync(
            "true", copies: ([], [FileCopy.ReadOut($"/none/:{target}2")])));
        error.Message.ShouldContain("/none");
        error = await Should.ThrowAsync<CliException>(() => guest.RunAsync(
            "true", copies: ([], [FileCopy.ReadOut($"/dev/:{target}3")])));
        error.Message.ShouldContain("is a device");
        Directory.Exists(target + "3").ShouldBeFalse();
    }

    [Fact]
    public async Task An_ext4_file_is_the_root_and_each_child_has_its_own()
    {
        string? make = ((string[])["/usr/sbin/mke2fs", "/sbin/mke2fs"]).FirstOrDefault(File.Exists);
        Assert.SkipWhen(make is null, "no mke2fs is installed here: Debian has it in e2fsprogs");
        using var folder = new RunFolder();
        string root = MakeRoot(folder);
        string image = Path.Combine(folder.Path, "root.ext4");
        using (Process made = Process.Start(new ProcessStartInfo(make!)
        {
            ArgumentList = { "-q", "-t", "ext4", "-d", root, image, "24M" },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!)
        {
            await made.WaitForExitAsync(Stop);
            made.ExitCode.ShouldBe(0);
        }

        await using Guest guest = await Guest.StartAsync(folder, image);
        for (int i = 0; i < 2; i++)
        {
            JobOutcome outcome = await guest.RunAsync(
                "busybox cat /hello; busybox ls /mine; echo x >/mine; busybox sync; busybox df -T /; "
                    + "busybox dmesg -r | busybox grep -E '^<[0-4]>.*(virtio|vd[a-z]|ext4|EXT4)' || echo no warning");
            outcome.Code.ShouldBe(0);
            guest.Output.ShouldStartWith("from the image\n");
            guest.Output.ShouldContain("No such file");
            guest.Output.ShouldContain("ext4");
            guest.Output.ShouldEndWith("no warning\n");
        }
    }

    [Fact]
    public async Task An_OCI_layout_s_layers_and_configuration_hold()
    {
        using var folder = new RunFolder();
        string layout = Path.Combine(folder.Path, "layout");
        WriteLayout(layout, MakeRoot(folder));
        await using Guest guest = await Guest.StartAsync(folder, layout);
        JobOutcome outcome = await guest.RunAsync("busybox cat hello; echo $COLOUR; busybox pwd; busybox id -u");
        outcome.Code.ShouldBe(0, outcome.Message);
        guest.Output.ShouldBe("from the image\nblue\n/\n0\n");
    }

    [Fact]
    public async Task Bash_coreutils_and_python_of_Debian_s_packages_run()
    {
        string root = Path.Combine(Folders.Cache, "debian-root");
        Assert.SkipWhen(
            !File.Exists(Path.Combine(root, "complete")),
            $"no Debian root file system is in {root}: build/fetch-debian-root fetches one");
        using var folder = new RunFolder();
        await using Guest guest = await Guest.StartAsync(folder, Path.Combine(root, "tree"));
        JobOutcome outcome = await guest.RunAsync(
            ["/bin/bash", "-c", "a=(6 7); sha256sum /etc/debian_version | cut -c 1-64; "
                + "python3 -c \"print({'answer': ${a[0]} * ${a[1]}})\""]);
        outcome.Code.ShouldBe(0, guest.Output + outcome.Message);
        string[] lines = guest.Output.Split('\n');
        lines[0].ShouldBe(Convert.ToHexStringLower(
            SHA256.HashData(File.ReadAllBytes(Path.Combine(root, "tree/etc/debian_version")))));
        lines[1].ShouldBe("{'answer': 42}");
    }

    private static string MakeRoot(RunFolder folder)
    {
        string root = Path.Combine(folder.Path, "root");
        Directory.CreateDirectory(Path.Combine(root, "bin"));
        File.Copy(Path.Combine(Linux, "busybox"), Path.Combine(root, "bin/busybox"));
        File.SetUnixFileMode(Path.Combine(root, "bin/busybox"), (UnixFileMode)0x1ED);
        File.CreateSymbolicLink(Path.Combine(root, "bin/sh"), "busybox");
        File.WriteAllText(Path.Combine(root, "hello"), "from the image\n");
        return root;
    }

    /// <summary>An image of one layer, as <c>skopeo copy … oci:DIR</c> writes it.</summary>
    private static void WriteLayout(string layout, string root)
    {
        Directory.CreateDirectory(Path.Combine(layout, "blobs/sha256"));
        File.WriteAllText(Path.Combine(layout, "oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}");
        using var tar = new MemoryStream();
        TarFile.CreateFromDirectory(root, tar, includeBaseDirectory: false);
        (string layer, long layerBytes) = WriteBlob(layout, tar.ToArray());
        (string configuration, long configurationBytes) = WriteBlob(layout, Encoding.UTF8.GetBytes(
            "{\"architecture\":\"arm64\",\"os\":\"linux\",\"config\":{\"Env\":[\"COLOUR=blue\"],\"WorkingDir\":\"/\"},"
            + $"\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:{layer}\"]}}}}"));
        (string manifest, long manifestBytes) = WriteBlob(layout, Encoding.UTF8.GetBytes(
            "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":"
            + "{\"mediaType\":\"application/vnd.oci.image.config.v1+json\","
            + $"\"digest\":\"sha256:{configuration}\",\"size\":{configurationBytes}}},"
            + "\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
            + $"\"digest\":\"sha256:{layer}\",\"size\":{layerBytes}}}]}}"));
        File.WriteAllText(
            Path.Combine(layout, "index.json"),
            "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
            + $"\"digest\":\"sha256:{manifest}\",\"size\":{manifestBytes},"
            + "\"platform\":{\"architecture\":\"arm64\",\"os\":\"linux\"}}]}");
    }

    private static (string Digest, long Bytes) WriteBlob(string layout, byte[] bytes)
    {
        string digest = Convert.ToHexStringLower(SHA256.HashData(bytes));
        File.WriteAllBytes(Path.Combine(layout, "blobs/sha256", digest), bytes);
        return (digest, bytes.Length);
    }

    /// <summary>A machine with a template of an image; each program runs in a child of its own.</summary>
    private sealed class Guest(TemplateMachine machine, TemplateRecipe recipe) : IAsyncDisposable
    {
        /// <summary>What the last program wrote, on both of its streams.</summary>
        internal string Output { get; private set; } = string.Empty;

        internal static async Task<Guest> StartAsync(RunFolder folder, string? image)
        {
            Assert.SkipWhen(
                LinuxGuest.Cached() is null || !Directory.Exists(Path.Combine(Linux, "modules")),
                $"no Linux kernel with modules is cached in {Folders.Cache}: ./quietus fetches one");
            PreparedTemplate template = PreparedTemplate.Make(
                new TemplateRecipe { Image = image, MemoryBytes = image is null ? Memory : 0, Cpus = 1 }, folder.Path);
            QemuBinary qemu = await QemuBinary.FindAsync(Stop);
            TemplateMachine machine = await TemplateMachine.StartAsync(
                template.Plan(1, CpuModel.All[^1], _limit), qemu, CommonOptions.FindImage(), folder, Stop);
            return new Guest(machine, template.Recipe);
        }

        internal Task<JobOutcome> RunAsync(
            string command, TimeSpan? limit = null,
            (IReadOnlyList<FileCopy> In, IReadOnlyList<FileCopy> Out)? copies = null, string before = "true") =>
            RunAsync(["sh", "-c", $"{before}; {command}"], limit, copies);

        internal async Task<JobOutcome> RunAsync(
            IReadOnlyList<string> command, TimeSpan? limit = null,
            (IReadOnlyList<FileCopy> In, IReadOnlyList<FileCopy> Out)? copies = null)
        {
            using var output = new MemoryStream();
            var job = new JobPlan
            {
                Order = recipe.Order(command, [])!,
                Limit = limit ?? _limit,
                Before = (client, stop) => JobFiles.InAsync(copies?.In ?? [], client, stop),
                After = (client, stop) => JobFiles.OutAsync(copies?.Out ?? [], client, stop),
            };
            Stream both = Stream.Synchronized(output);
            JobOutcome outcome = await JobRunner.RunAsync(
                machine, job, new JobStreams(null, both, both), started: null, Stop);
            Output = Encoding.UTF8.GetString(output.ToArray());
            return outcome;
        }

        public ValueTask DisposeAsync() => machine.DisposeAsync();
    }
}
