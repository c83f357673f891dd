using System.IO;
using System.Text.Json;
using Quietus.Cli.Tests.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Bench;

public sealed class AgainstKvmProcessTests
{
    [Fact]
    public void Both_sides_are_measured_on_the_same_machine()
    {
        using Cli cli = Prepared();
        Cli.Outcome outcome = cli.Run(
            "bench", "--against", "kvm", "--memory", "64M", "--json", "b.json", "--report", "r.html");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("against KVM of Linux 6.1.0-fake");
        outcome.Errors.ShouldContain("[6/6] kvm 64M 4k kill");
        JsonElement kvm = JsonDocument.Parse(File.ReadAllText(cli.PathOf("b.json"))).RootElement.GetProperty("kvm");
        kvm.GetProperty("rows").GetArrayLength().ShouldBe(6);
        File.ReadAllText(cli.PathOf("r.html")).ShouldContain("Against KVM");

        string[] lines = cli.MachineArguments();
        lines.Length.ShouldBe(2);
        Machine(lines[1]).ShouldBe(Machine(lines[0]));
        lines[1].ShouldContain("-- memory=67108864 fill=50331648 pages=4k");

        // Everything but what is booted, the link to the host, and the counting that both have.
        static string Machine(string line) =>
            line[..At(line, "-kernel")] + line[At(line, "-icount")..At(line, "-chardev")];

        static int At(string line, string what) => line.IndexOf(what, System.StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("kvm-absent", 77, "this kernel has no KVM")]
    [InlineData("kvm-fails", 1, "creating a VM (12)")]
    [InlineData("kvm-panics", 1, "the machine ended (exit code 3) after 0 of 6")]
    [InlineData("kvm-garbage", 1, "makes no sense")]
    [InlineData("kvm-other-protocol", 1, "speaks protocol 2")]
    [InlineData("kvm-keeps", 1, "bytes were free again")]
    [InlineData("kvm-dies-midway", 1, "after 2 of 6 measurements")]
    public void Whatever_the_probe_does_ends_as_one_error(string mode, int code, string message)
    {
        using Cli cli = Prepared(mode);
        Cli.Outcome outcome = cli.Run("bench", "--against", "kvm", "--memory", "64M");
        outcome.Code.ShouldBe(code, outcome.Errors);
        outcome.Errors.ShouldContain(message);
        outcome.Errors.ShouldNotContain("internal error");
        outcome.Errors.ShouldNotContain('\e');
        outcome.Output.ShouldBeEmpty();
    }

    [Fact]
    public void A_silent_probe_meets_the_time_limit()
    {
        using Cli cli = Prepared("kvm-silent");
        Cli.Outcome outcome = cli.Run("bench", "--against", "kvm", "--memory", "64M", "--timeout", "2");
        outcome.Code.ShouldBe(124, outcome.Errors);
        outcome.Errors.ShouldContain("has said nothing for 2 s");
    }

    [Fact]
    public void Interrupted_it_leaves_nothing_running()
    {
        using Cli cli = Prepared("kvm-silent");
        using System.Diagnostics.Process process = cli.Start("bench", "--against", "kvm", "--memory", "64M");
        cli.WaitForMachines(2);
        Cli.Signal(process, Cli.Interrupt);
        Cli.Finish(process).Code.ShouldBe(130);
    }

    [Fact]
    public void Without_a_kernel_or_a_probe_it_says_how_to_get_one()
    {
        using var bare = new Cli();
        Cli.Outcome outcome = bare.Run("bench", "--against", "kvm");
        outcome.Code.ShouldBe(77);
        outcome.Errors.ShouldContain("there is no Linux kernel in");

        using Cli cli = Prepared();
        File.Delete(cli.PathOf("kvm-probe.elf"));
        outcome = cli.Run("bench", "--against", "kvm");
        outcome.Code.ShouldBe(77);
        outcome.Errors.ShouldContain("has not been built");
    }

    [Theory]
    [InlineData("--against xen", "unknown peer 'xen'")]
    [InlineData("--against kvm --guest linux", "--guest means nothing beside --against")]
    [InlineData("--against kvm --policies series", "--policies means nothing")]
    [InlineData("--against kvm --fate unknown", "--fate means nothing")]
    [InlineData("--against kvm --cpus 2", "--cpus means nothing")]
    [InlineData("--against kvm --memory 4G", "Linux has no room for a VM of 4 GB")]
    [InlineData("--against kvm --pages auto", "--pages auto has no counterpart")]
    public void What_has_no_meaning_here_is_refused(string arguments, string message)
    {
        using Cli cli = Prepared();
        Cli.Outcome outcome = cli.Run(["bench", .. arguments.Split(' ')]);
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Errors.ShouldContain(message);
        cli.Machines().ShouldBeEmpty();
    }

    private static Cli Prepared(string mode = "good")
    {
        var cli = new Cli(mode);
        cli.WriteFile("cache/linux/Image", KernelImageTests.MakeImage());
        cli.WriteFile("cache/linux/initrd", "070701"u8.ToArray());
        cli.WriteFile("kvm-probe.elf", [0x7F, (byte)'E', (byte)'L', (byte)'F']);
        return cli;
    }
}
