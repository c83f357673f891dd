using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
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
/// <c>exec</c>'s own machine with a real Linux in it: an image as its root, and children that run programs.
/// </summary>
public sealed class ExecLinuxTests
{
    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(5);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_program_runs_in_a_child_with_its_own_image()
    {
        LinuxGuest? cached = LinuxGuest.Cached();
        Assert.SkipWhen(
            cached is null || !Directory.Exists(Path.Combine(Path.GetDirectoryName(cached.Kernel)!, "modules")),
            $"no Linux kernel with modules is cached in {Folders.Cache}: ./quietus fetches one");
        using var folder = new RunFolder();
        string image = Path.Combine(folder.Path, "image");
        Directory.CreateDirectory(Path.Combine(image, "bin"));
        File.Copy(Path.Combine(Path.GetDirectoryName(cached!.Kernel)!, "busybox"), Path.Combine(image, "bin/busybox"));
        File.CreateSymbolicLink(Path.Combine(image, "bin/sh"), "busybox");
        File.WriteAllText(Path.Combine(image, "hello"), "from the image\n");
        var recipe = new TemplateRecipe
        {
            Image = image,
            MemoryBytes = 128 * ByteSize.Megabyte,
            Cpus = 1,
            WarmUp = [["busybox", "sh", "-c", "echo warm >/warm"]],
        };
        PreparedTemplate template = PreparedTemplate.Make(recipe, folder.Path);
        QemuBinary qemu = await QemuBinary.FindAsync(Stop);
        TemplateMachine machine = await TemplateMachine.StartAsync(
            template.Plan(2, CpuModel.All[^1], _limit), qemu, CommonOptions.FindImage(), folder, Stop);
        await using (machine)
        {
            byte[] input = new byte[300_000];
            new Random(14).NextBytes(input);
            using var output = new MemoryStream();
            JobOutcome outcome = await RunAsync(machine, recipe, ["busybox", "cat"], input, output);
            outcome.Code.ShouldBe(0, outcome.Message);
            output.ToArray().SequenceEqual(input).ShouldBeTrue();

            // A child sees the image and the warm-up, and nothing of its siblings.
            const string Look = "busybox cat hello warm; busybox ls mine; echo x >/mine; exit 9";
            for (int i = 0; i < 2; i++)
            {
                output.SetLength(0);
                outcome = await RunAsync(machine, recipe, ["sh", "-c", Look], [], output);
                outcome.Code.ShouldBe(9, outcome.Message);
                string told = Encoding.UTF8.GetString(output.ToArray());
                told.ShouldStartWith("from the image\nwarm\n");
                told.ShouldContain("No such file");
            }

            (await RunAsync(machine, recipe, ["nothing"], [], output)).Code.ShouldBe(ExitCode.NotFound);
            (await RunAsync(machine, recipe, ["/hello"], [], output)).Code.ShouldBe(ExitCode.CannotExecute);
            outcome = await RunAsync(
                machine, recipe, ["sh", "-c", "while :; do :; done"], [], output, TimeSpan.FromSeconds(1));
            outcome.Code.ShouldBe(ExitCode.TimeLimit);
        }
    }

    private static Task<JobOutcome> RunAsync(
        TemplateMachine machine, TemplateRecipe recipe, IReadOnlyList<string> command, byte[] input, Stream output,
        TimeSpan? limit = null)
    {
        var job = new JobPlan { Order = recipe.Order(command, [])!, Limit = limit };
        return JobRunner.RunAsync(
            machine, job, new JobStreams(new MemoryStream(input), output, output), started: null, Stop);
    }
}
