using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using Quietus.Cli.Bench;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Bench;

public sealed class KvmTests
{
    private const string Hello = "quietus-kvm: probe protocol=1 kernel=\"6.1.0\" empty_instructions=9\n";
    private const string Begin = "quietus-kvm: row way=";
    private const string NoBlocks = " mapped_blocks_2m=0 instructions=1 virtual_ns=1 freed_bytes=";
    private const string NoInstructions = " mapped_blocks_2m=0 instructions=0 virtual_ns=1 freed_bytes=0\n";
    private static readonly KvmCase _case = new(ByteSize.Gigabyte, "4k");

    [Fact]
    public void The_reader_takes_the_probes_lines_in_whatever_pieces_they_come()
    {
        string text = "[ 0.1] Linux\r\n" + Hello + string.Concat(KvmProbeReader.Ways.Select(Row))
            + "quietus-kvm: done\r\n";
        foreach (int size in (int[])[1, 7, 100_000])
        {
            var reader = new KvmProbeReader(_case);
            foreach (byte[] piece in Encoding.Latin1.GetBytes(text).Chunk(size))
            {
                reader.Feed(piece);
            }

            reader.IsDone.ShouldBeTrue();
            reader.KernelRelease.ShouldBe("6.1.0");
            reader.Rows.Select(row => row.Way).ShouldBe(KvmProbeReader.Ways);
            reader.Rows.ShouldAllBe(row => row.Instructions == 258_048_000 && row.MappedPages4K == 258_048);
        }
    }

    [Theory]
    [InlineData("quietus-kvm: \n")]
    [InlineData("quietus-kvm: nonsense\n")]
    [InlineData("quietus-kvm: done\n")]
    [InlineData("quietus-kvm: probe protocol=7 kernel=\"x\" empty_instructions=1\n")]
    [InlineData("quietus-kvm: probe protocol=1 kernel=\"x\" empty_instructions=-1\n")]
    [InlineData(Hello + Begin + "other mapped_pages_4k=1" + NoBlocks + "0\n")]
    [InlineData(Hello + Begin + "close mapped_pages_4k=1 mapped_blocks_2m=0 instructions=1 virtual_ns=1\n")]
    [InlineData(Hello + Begin + "close mapped_pages_4k=0" + NoBlocks + "0\n")]
    [InlineData(Hello + Begin + "close mapped_pages_4k=9" + NoInstructions)]
    [InlineData(Hello + Begin + "close mapped_pages_4k=999999" + NoBlocks + "0\n")]
    [InlineData(Hello + Begin + "close mapped_pages_4k=99999999999999999999" + NoBlocks + "0\n")]
    [InlineData(Hello + Begin + "kill mapped_pages_4k=9" + NoBlocks + "5\n")]
    [InlineData("quietus-kvm: error\n")]
    public void What_makes_no_sense_is_an_error_for_people(string text) =>
        Should.Throw<CliException>(() => new KvmProbeReader(_case).Feed(Encoding.Latin1.GetBytes(text)))
            .Message.ShouldStartWith("kvm 1G 4k");

    [Fact]
    public void A_way_that_is_told_twice_is_an_error()
    {
        var reader = new KvmProbeReader(_case);
        reader.Feed(Encoding.Latin1.GetBytes(Hello + Row(KvmWay.Close)));
        Should.Throw<CliException>(() => reader.Feed(Encoding.Latin1.GetBytes(Row(KvmWay.Close))));
    }

    [Fact]
    public void Random_bytes_never_get_past_an_error_for_people()
    {
        var random = new Random(11);
        byte[] good = Encoding.Latin1.GetBytes(Hello + Row(KvmWay.Kill) + Row(KvmWay.Close));
        for (int round = 0; round < 2000; round++)
        {
            byte[] bytes = (byte[])good.Clone();
            for (int change = random.Next(1, 20); change > 0; change--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            try
            {
                new KvmProbeReader(_case).Feed(bytes);
            }
            catch (CliException error)
            {
                error.Message.ShouldNotContain('\e');
            }
        }
    }

    [Fact]
    public void A_line_without_an_end_is_cut_and_a_long_console_forgotten()
    {
        var reader = new KvmProbeReader(_case);
        for (int i = 0; i < 100; i++)
        {
            reader.Feed(new byte[10_000].Select(_ => (byte)'x').ToArray()).ShouldBeFalse();
            reader.Feed("\n"u8);
        }

        reader.Console.Length.ShouldBeLessThan(50_000);
    }

    [Theory]
    [InlineData("cortex-a72", 2106, 9.5, true)]
    [InlineData("max", 2106, 9.5, true)]
    [InlineData("cortex-a72", 40_000, 9.5, false)]
    [InlineData("cortex-a72", 2106, 51.7, false)]
    [InlineData("max", 2106, 51.7, false)]
    public void The_promises_are_kept_or_not(string cpu, long death, double perPage, bool expected)
    {
        BenchResult result = Sample(cpu, death, perPage);
        IReadOnlyList<Target> targets = Targets.Judge(result);
        targets.Count.ShouldBe(4);
        targets.All(target => target.Met).ShouldBe(expected);
    }

    [Theory]
    [InlineData("neoverse-n1", 1024, "4k")]
    [InlineData("cortex-a72", 512, "4k")]
    [InlineData("cortex-a72", 1024, "2m")]
    public void Another_run_is_judged_by_nobody(string cpu, int megabytes, string pages) =>
        Targets.Judge(Sample(cpu, 1_000_000, 900, megabytes * ByteSize.Megabyte, pages)).ShouldBeEmpty();

    [Fact]
    public void The_table_fits_80_columns_and_has_both_sides()
    {
        var writer = new StringWriter();
        BenchTable.Write(writer, Sample("cortex-a72", 2106, 51.7, 3 * ByteSize.Gigabyte));
        string text = writer.ToString();
        text.Split('\n').Max(line => line.Length).ShouldBeInRange(70, TextTable.Width);
        text.ShouldContain("kill: Stage-2's share");
        text.ShouldContain("2,106");
        text.ShouldContain("with host's freeing");
        text.ShouldContain("against KVM of Linux 6.1.0");
    }

    [Fact]
    public void The_JSON_keeps_our_rows_and_has_KVMs_beside_them()
    {
        using var stream = new MemoryStream();
        BenchDocument.Of(Sample("cortex-a72", 2106, 51.7)).Write(stream);
        JsonElement root = JsonDocument.Parse(stream.ToArray()).RootElement;
        root.GetProperty("schema").GetString().ShouldBe("quietus.bench/1");
        root.GetProperty("rows").GetArrayLength().ShouldBe(2);
        JsonElement kvm = root.GetProperty("kvm");
        kvm.GetProperty("rows").GetArrayLength().ShouldBe(KvmProbeReader.Ways.Length);
        JsonElement death = kvm.GetProperty("comparisons")[0];
        death.GetProperty("quietus_instructions").GetInt64().ShouldBe(2106);
        death.GetProperty("ratio").GetDouble().ShouldBe(258_048.0 * 1456 / 2106, 0.001);
    }

    [Fact]
    public void The_report_has_the_comparison()
    {
        string html = HtmlReport.Make(Sample("cortex-a72", 2106, 51.7));
        html.ShouldContain("Against KVM: 1 GB");
        html.ShouldContain("<svg");
    }

    [Fact]
    public void Too_few_blocks_are_told()
    {
        BenchResult result = Sample("cortex-a72", 2106, 51.7, pages: "2m");
        string note = KvmTable.Notes(result.Kvm!).ShouldHaveSingleItem();
        note.ShouldStartWith("kvm 1G 2m: the host had not blocks for all of it, and took up to ");
        KvmProbeReader.Ways.ShouldAllBe(way => note.Contains(way.Name()));
    }

    private static string Row(KvmWay way) =>
        $"{Begin}{way.Name()} mapped_pages_4k=258048 mapped_blocks_2m=0 instructions=258048000 virtual_ns=258048016 "
            + $"freed_bytes={(KvmProbeReader.FreesPages(way) ? 1_047_158_784 : 0)}\r\n";

    /// <summary>Quietus as told, and KVM 6.1 as it was measured once, by the page.</summary>
    internal static BenchResult Sample(
        string cpu, long death, double perPage, long memory = ByteSize.Gigabyte, string pages = "4k")
    {
        BenchPlan plan = Samples.Plan(Samples.Fate) with
        {
            Cpu = CpuModel.Parse(cpu),
            MemoryBytes = [memory],
            Pages = [pages],
        };
        var what = new KvmCase(memory, pages);
        long entries = what.FillBytes / 4096;
        KvmRow Theirs(KvmWay way, long each) => new()
        {
            Case = what,
            Way = way,
            MappedPages4K = entries,
            MappedBlocks2M = 0,
            Instructions = entries * each,
            VirtualNanoseconds = entries * each,
            FreedBytes = 0,
        };
        return Samples.Result(plan, one => Samples.Death(
            entries, 0, one.Way == DeathWay.Kill ? death : (long)(entries * perPage))) with
        {
            Kvm = new KvmResult
            {
                KernelRelease = "6.1.0",
                Package = "Debian linux-image",
                ProbeSha256 = new string('b', 64),
                QemuCommand = "qemu-system-aarch64",
                EmptyInstructions = 1500,
                Rows =
                [
                    Theirs(KvmWay.Kill, 1456), Theirs(KvmWay.Close, 85), Theirs(KvmWay.KillNoVm, 1368),
                    Theirs(KvmWay.Munmap, 1997), Theirs(KvmWay.SlotRemoval, 626), Theirs(KvmWay.MunmapNoVm, 1368),
                ],
            },
        };
    }
}
