using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.RegularExpressions;
using Quietus.Cli.Tests.Guests;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Births;

public sealed class BirthsProcessTests
{
    [Fact]
    public void The_filler_s_births_come_as_table_JSON_and_report()
    {
        using var cli = new Cli();
        Cli.Outcome outcome = cli.Run(
            "bench", "--births", "2", "--guest", "filler", "--memory", "64M,128M", "--json", "b.json", "--report",
            "r.html");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("2 children of each template, cortex-a72, 1 vCPU");
        outcome.Errors.ShouldContain("[4/4] filler 128M 2m");
        JsonElement[] rows = [.. Read(cli).GetProperty("rows").EnumerateArray()];
        rows.Length.ShouldBe(4);
        rows.ShouldAllBe(row => row.GetProperty("birth_instructions").GetInt64() == 3104
            && row.GetProperty("write_fault_first_instructions").GetDouble() == 1574
            && row.GetProperty("read_faults").GetInt64() == 0);
        Read(cli).TryGetProperty("kvm", out _).ShouldBeFalse();
        string html = File.ReadAllText(cli.PathOf("r.html"));
        html.ShouldContain("<h1>What a VM’s birth costs</h1>");
        html.ShouldContain("is born in\n3,104 instructions");
        Regex.Count(html, "<svg").ShouldBe(2);
        html.ShouldContain("quietus.births/1");
    }

    [Fact]
    public void Both_sides_are_measured_on_the_same_machine()
    {
        using Cli cli = Prepared();
        Cli.Outcome outcome = cli.Run(
            "bench", "--births", "2", "--against", "kvm", "--memory", "64M", "--json", "b.json", "--report", "r.html");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Output.ShouldContain("against KVM of Linux 6.1.0-fake");
        outcome.Output.Split('\n').Max(line => line.Length).ShouldBeLessThanOrEqualTo(80);
        outcome.Errors.ShouldContain("[8/13] kvm 64M write: 440,500 instructions");
        JsonElement kvm = Read(cli).GetProperty("kvm");
        kvm.GetProperty("rows").GetArrayLength().ShouldBe(13);
        JsonElement pair = kvm.GetProperty("comparisons").EnumerateArray().ShouldHaveSingleItem();
        pair.GetProperty("birth_ratio").GetDouble().ShouldBe(258_424.0 / 3104, 0.001);

        // What the guest's own loop takes is left out, of reads and of writes.
        pair.GetProperty("kvm_read_instructions").GetInt64().ShouldBe(689_000);
        pair.GetProperty("kvm_write_instructions").GetDouble().ShouldBe(8800);
        pair.GetProperty("kvm_write_after_read_instructions").GetDouble().ShouldBe(15_000);
        pair.GetProperty("kvm_uffd_birth_instructions").GetInt64().ShouldBe(300_000);
        pair.GetProperty("kvm_uffd_read_instructions").GetInt64().ShouldBe(1_200_000);
        pair.GetProperty("kvm_uffd_write_instructions").GetDouble().ShouldBe(12_000);
        pair.GetProperty("kvm_uffd_write_after_read_instructions").GetDouble().ShouldBe(10);
        File.ReadAllText(cli.PathOf("r.html")).ShouldContain("Against KVM: 64 MB");

        string[] lines = cli.MachineArguments();
        lines.Length.ShouldBe(2);
        Machine(lines[1]).ShouldBe(Machine(lines[0]));
        lines[1].ShouldContain("-- memory=67108864 fill=33554432 pages=4k writes=4096");

        static string Machine(string line) => line[..line.IndexOf("-kernel", System.StringComparison.Ordinal)]
            + line[line.IndexOf("-icount", System.StringComparison.Ordinal)
                ..line.IndexOf("-chardev", System.StringComparison.Ordinal)];
    }

    [Theory]
    [InlineData("kvm-absent", 77, "this kernel has no KVM")]
    [InlineData("kvm-garbage", 1, "makes no sense")]
    [InlineData("kvm-dies-midway", 1, "kvm 64M: the machine ended (exit code 1) after 2 of 13 measurements")]
    [InlineData("refuses-births", 1, "filler 64M 4k: the hypervisor refused: there is no chunk for a child")]
    public void Whatever_happens_ends_as_one_error(string mode, int code, string message)
    {
        using Cli cli = Prepared(mode);
        Cli.Outcome outcome = cli.Run("bench", "--births", "1", "--against", "kvm", "--memory", "64M");
        outcome.Code.ShouldBe(code, outcome.Errors);
        outcome.Errors.ShouldContain(message);
        outcome.Output.ShouldBeEmpty();
    }

    private static JsonElement Read(Cli cli) => JsonDocument.Parse(File.ReadAllText(cli.PathOf("b.json"))).RootElement;

    private static Cli Prepared(string mode = "good")
    {
        var cli = new Cli(mode);
        cli.WriteFile("cache/linux/Image", KernelImageTests.MakeImage());
        cli.WriteFile("cache/linux/initrd", "070701"u8.ToArray());
        cli.WriteFile("kvm-probe.elf", [0x7F, (byte)'E', (byte)'L', (byte)'F']);
        return cli;
    }
}
