using System;
using System.IO;
using System.Linq;
using System.Text.Json.Nodes;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Probe;
using Quietus.Cli.Sim;
using Quietus.Memory;
using Quietus.Simulator;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Probe;

/// <summary>Machines fitted to probes: one whose costs are known, and ones that no machine could be.</summary>
public sealed class HostCalibrationTests
{
    private static readonly long[] _sizes = [32L << 20, 48L << 20, 64L << 20, 96L << 20];

    private static System.Threading.CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void A_machine_that_is_one_is_found_again_and_predicts_what_was_held_out()
    {
        MachinePreset truth = MachinePreset.Named(Machines.Folder, "modern")
            .With("entry_unlink", 77, "test").With("page_free", 210, "test").With("tlbi_wait", 900, "test")
            .With("fault", 3100, "test");
        ProbeResult probed = ProbeResult.Parse("p.json", Probed(truth, 1).ToJsonString());
        HostCalibration fit = HostCalibration.Fit(probed, CalibratedPreset.StartFor(probed), Cancellation);
        fit.HeldOut.ShouldNotBeEmpty();
        fit.Points.Count(point => !point.IsHeldOut).ShouldBeGreaterThan(5);
        fit.Worst.ShouldBeLessThan(0.02);
        fit.NotModelled.ShouldContain(row => row.StartsWith("kill-no-vm"));

        // What it writes is a preset, which gives what the fit promised.
        MachinePreset written = MachinePreset.Parse("mine.json", CalibratedPreset.Write(fit, probed, "mine"));
        written.Title.ShouldContain("are missed by");
        written.Find("entry_unlink")!.Source.ShouldStartWith("fitted to a probe's");
        written.Find("tlbi_victim")!.IsAssumption.ShouldBeTrue();
        CalibratedPoint point = fit.HeldOut.First(point => point.Part == CalibratedPart.Tables);
        double again = Simulation.Run(Request(written, point.Row.MemoryBytes, DeathKind.Exit), null, Cancellation)
            .DeathNanoseconds;
        again.ShouldBe(point.Model, 0.01 * point.Model);
    }

    /// <summary>The table of docs/probe.md: what each host's probe wrote, every second size held out.</summary>
    [Theory]
    [InlineData("cortex-a72-4k", 0.02)]
    [InlineData("cortex-a72-thp", 0.02)]
    [InlineData("cortex-a72-hugetlb-2m", 0.03)]
    [InlineData("max-4k", 0.02)]
    [InlineData("max-thp", 0.03)]
    [InlineData("max-hugetlb-2m", 0.05)]
    [InlineData("x86-4k", 0.18)]
    [InlineData("x86-thp", 0.10)]
    [InlineData("x86-hugetlb-2m", 0.16)]
    public void What_was_measured_on_each_host_predicts_the_sizes_that_were_held_out(string host, double most)
    {
        HostCalibration fit = FitTo(Recorded(host));
        fit.HeldOut.Select(point => point.Row.Way).Distinct()
            .ShouldBe(["close", "kill", "munmap", "dontneed", "slot", .. Holes(host)], ignoreOrder: true);
        fit.HeldOut.Select(point => point.Row.MemoryBytes).Distinct().Count().ShouldBe(2);
        fit.Worst.ShouldBeLessThan(most, string.Join('\n', fit.HeldOut.Select(point => $"{point}: {point.Miss:0.00}")));
        fit.IsGood.ShouldBeTrue();
    }

    /// <summary>By thp a file has 4 KB pages: under QEMU such rows take minutes each, and there are none.</summary>
    private static string[] Holes(string host) => host is "cortex-a72-thp" or "max-thp" ? [] : ["punch"];

    [Theory]
    [InlineData("cortex-a72-4k", 2600, 1500)]
    [InlineData("max-4k", 2600, 1500)]
    public void A_page_of_a_file_is_dearer_than_an_anonymous_one(string host, double fill, double free)
    {
        HostCalibration fit = FitTo(Recorded(host));
        fit.Machine["file_fill"].ShouldBe(fill, 0.1 * fill);
        fit.Machine["file_free"].ShouldBe(free, 0.1 * free);
    }

    [Fact]
    public void Where_only_a_file_has_4_KB_pages_anonymous_ones_keep_what_was_assumed_of_them()
    {
        JsonObject json = Recorded("x86-thp");
        ProbeResult probed = ProbeResult.Parse("p.json", json.ToJsonString());
        double assumed = CalibratedPreset.StartFor(probed)["page_free"];
        HostCalibration fit = FitTo(json);
        fit.Machine["page_free"].ShouldBe(assumed, 0.1 * assumed);
        fit.Machine["file_free"].ShouldBeGreaterThan(100);
    }

    /// <summary>As a probe of all kinds of pages: one machine for all of them.</summary>
    [Theory]
    [InlineData("cortex-a72", 0.03)]
    [InlineData("x86", 0.18)]
    public void One_machine_is_fitted_to_all_kinds_of_pages(string host, double most)
    {
        JsonObject json = Recorded($"{host}-4k");
        foreach (string kind in new[] { "thp", "hugetlb-2m" })
        {
            foreach (JsonNode? row in Recorded($"{host}-{kind}")["rows"]!.AsArray())
            {
                json["rows"]!.AsArray().Add(row!.DeepClone());
            }
        }

        HostCalibration fit = FitTo(json);
        fit.Worst.ShouldBeLessThan(most, string.Join('\n', fit.HeldOut.Select(point => $"{point}: {point.Miss:0.00}")));
        fit.Machine["transparent_free"].ShouldBeGreaterThan(2 * fit.Machine["block_free"]);
        if (fit.Machine.IsArm64)
        {
            // That kernel zeroes a page when it is allocated, and a transparent one again when it is mapped.
            fit.Machine["transparent_fill"].ShouldBe(
                512 * fit.Machine["page_zero"], 0.05 * fit.Machine["transparent_fill"]);
        }
    }

    [Theory]
    [InlineData("cortex-a72-thp")]
    [InlineData("cortex-a72-hugetlb-2m")]
    public void A_machine_without_caches_pays_for_a_dirty_line_what_it_pays_for_any(string host)
    {
        // Under QEMU a line is four instructions: DC CIVAC, add, compare, branch.
        HostCalibration fit = FitTo(Recorded(host));
        fit.Machine["dc_line_local"].ShouldBe(4, 0.1);
        fit.Machine["dc_line_dirty"].ShouldBe(0, 0.1);
    }

    [Theory]
    [InlineData(4.0, 0.0)]
    [InlineData(9.0, 0.0)]
    [InlineData(3.0, 6.0)]
    public void Dirty_lines_are_told_from_others_where_memory_is_larger_than_the_caches(double line, double dirty)
    {
        MachinePreset truth = MachinePreset.Named(Machines.Folder, "modern").With("forced_write_back", 0, "test")
            .With("dc_line_local", line, "test")
            .With("dc_line_dirty", dirty, "test").With("dc_line_remote", 20, "test");
        HostCalibration fit = FitTo(Probed(truth, 1, [64L << 20, 96L << 20, 128L << 20, 160L << 20]));
        fit.Worst.ShouldBeLessThan(0.02);

        // What any line costs is not told from what else each page takes: all are of one size here.
        fit.Machine["dc_line_dirty"].ShouldBe(dirty, 0.2);
    }

    [Fact]
    public void The_ends_of_VM_and_process_are_told_from_what_each_call_costs()
    {
        MachinePreset truth = MachinePreset.Named(Machines.Folder, "modern")
            .With("vm_end", 600_000, "test").With("process_end", 150_000, "test").With("page_free", 300, "test");
        HostCalibration fit = FitTo(Probed(truth, 1));
        fit.Worst.ShouldBeLessThan(0.02);
        fit.Machine["vm_end"].ShouldBe(600_000, 30_000);
        fit.Machine["process_end"].ShouldBe(150_000, 15_000);
    }

    [Fact]
    public void A_machine_of_two_sockets_whose_lines_are_dear_can_be_fitted()
    {
        MachinePreset truth = MachinePreset.Named(Machines.Folder, "modern").With("forced_write_back", 0, "test")
            .With("dc_line_remote", 30, "test").With("dc_line_local", 30, "test").With("dc_line_dirty", 0, "test");
        JsonObject json = Probed(truth, 1);
        json["host"]!["sockets"] = 2;
        HostCalibration fit = FitTo(json);
        fit.Worst.ShouldBeLessThan(HostCalibration.Good);
        fit.Machine["dc_line_remote"].ShouldBeGreaterThanOrEqualTo(fit.Machine["dc_line_local"]);
    }

    [Fact]
    public void Sizes_are_held_out_of_each_kind_of_pages_by_itself()
    {
        JsonObject json = Recorded("cortex-a72-4k");
        foreach (JsonNode? row in Recorded("cortex-a72-thp")["rows"]!.AsArray())
        {
            json["rows"]!.AsArray().Add(row!.DeepClone());
        }

        // 16, 32, 48, 64 by 4k; 64, 128, 192, 256 by thp: of all sizes together 64 MB is the fourth.
        HostCalibration fit = FitTo(json);
        fit.HeldOut.Select(point => (point.Row.Pages, point.Row.MemoryBytes >> 20)).Distinct()
            .ShouldBe([("4k", 32L), ("4k", 64L), ("thp", 128L), ("thp", 256L)], ignoreOrder: true);
    }

    [Fact]
    public void A_fit_that_is_bad_says_so_and_ends_with_1()
    {
        using var cli = new Cli();
        MachinePreset modern = MachinePreset.Named(Machines.Folder, "modern");
        cli.WriteFile("p.json", System.Text.Encoding.UTF8.GetBytes(Probed(modern, 3).ToJsonString()));
        Cli.Outcome outcome = cli.Run("sim", "--calibrate", "p.json");
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Errors.ShouldContain("A bad fit");
        outcome.Output.ShouldContain("a bad fit");
        MachinePreset.Parse("mine.json", outcome.Output).IsArm64.ShouldBeTrue();
    }

    [Theory]
    [InlineData("one size", "there is nothing to hold out")]
    [InlineData("no rows", "the probe measured nothing")]
    [InlineData("host alone", "nothing that the probe measured is in the model: kill-no-vm")]
    [InlineData("pages", "8k (no kind of pages that is known)")]
    [InlineData("way", "drown (no way that is known)")]
    [InlineData("no time", "it has no total_ns")]
    [InlineData("architecture", "is of architecture 'riscv64'")]
    [InlineData("no architecture", "is of architecture ''")]
    public void What_cannot_be_fitted_is_a_usage_error_that_says_why(string what, string message)
    {
        JsonObject json = Probed(MachinePreset.Named(Machines.Folder, "modern"), 1);
        JsonArray rows = json["rows"]!.AsArray();
        switch (what)
        {
            case "one size":
                rows.RemoveAll(row => row!["memory_bytes"]!.GetValue<long>() != _sizes[0]);
                break;

            case "no rows":
                rows.Clear();
                break;

            case "host alone":
                rows.RemoveAll(row => row!["way"]!.GetValue<string>() != "kill-no-vm");
                break;

            case "architecture":
                json["host"]!["architecture"] = "riscv64";
                break;

            case "no architecture":
                json["host"] = new JsonObject();
                break;

            default:
                foreach (JsonNode? row in rows)
                {
                    string key = what switch { "pages" => "page_size", "way" => "way", _ => "total_ns" };
                    row![key] = what switch { "pages" => "8k", "way" => "drown", _ => 1e-300 };
                    row["order_ns"] = 0;
                    row["touch_ns"] = 0;
                }

                break;
        }

        var error = Should.Throw<CliException>(() => FitTo(json));
        error.ExitCode.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain(message);
        error.NextStep.ShouldNotBeNullOrEmpty();
    }

    [Fact]
    public void A_probe_of_one_way_is_fitted_and_told_what_it_says_nothing_of()
    {
        using var cli = new Cli();
        JsonObject json = Probed(MachinePreset.Named(Machines.Folder, "modern"), 1);
        json["rows"]!.AsArray().RemoveAll(row => row!["way"]!.GetValue<string>() != "kill");
        cli.WriteFile("p.json", System.Text.Encoding.UTF8.GetBytes(json.ToJsonString()));
        Cli.Outcome outcome = cli.Run("sim", "--calibrate", "p.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Errors.ShouldContain("not measured: close, munmap, dontneed, slot, punch");
    }

    [Fact]
    public void A_good_fit_tells_also_that_a_row_which_it_was_fitted_to_is_far_off()
    {
        using var cli = new Cli();
        JsonObject json = Recorded("cortex-a72-hugetlb-2m");
        json["rows"]!.AsArray().First(row => row!["way"]!.GetValue<string>() == "slot")!["total_ns"] = 9e6;
        cli.WriteFile("p.json", System.Text.Encoding.UTF8.GetBytes(json.ToJsonString()));
        Cli.Outcome outcome = cli.Run("sim", "--calibrate", "p.json");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Errors.ReplaceLineEndings(" ").ShouldContain("though one that was fitted by");
    }

    private static HostCalibration FitTo(JsonObject json)
    {
        ProbeResult probed = ProbeResult.Parse("p.json", json.ToJsonString());
        return HostCalibration.Fit(probed, CalibratedPreset.StartFor(probed), Cancellation);
    }

    /// <summary>What the probe wrote; of holes, which were measured apart, the rows are in a file beside it.</summary>
    private static JsonObject Recorded(string host)
    {
        JsonObject json = Read(host);
        foreach (JsonNode? row in Holes(host).Length > 0 ? Read(host + "-punch")["rows"]!.AsArray() : [])
        {
            json["rows"]!.AsArray().Add(row!.DeepClone());
        }

        return json;

        static JsonObject Read(string name) => JsonNode.Parse(
            File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Probes", name + ".json")))!.AsObject();
    }

    /// <summary>What a probe would have measured of a machine; held-out sizes take so many times as long.</summary>
    private static JsonObject Probed(MachinePreset machine, double bend, long[]? sizes = null)
    {
        var rows = new JsonArray();
        foreach ((long memory, int index) in (sizes ?? _sizes).Select((memory, index) => (memory, index)))
        {
            foreach ((string way, DeathKind death) in new[]
            {
                ("close", DeathKind.Exit), ("kill", DeathKind.Kill), ("munmap", DeathKind.Munmap),
                ("slot", DeathKind.Slot),
                ("kill-no-vm", DeathKind.Exit),
            })
            {
                SimulationResult result = Simulation.Run(Request(machine, memory, death), null, Cancellation);
                double times = index % 2 == 1 ? bend : 1;
                double total = (result.DeathNanoseconds + result.HostFreeNanoseconds) * times;
                rows.Add(new JsonObject
                {
                    ["page_size"] = "4k", ["memory_bytes"] = memory, ["way"] = way, ["total_ns"] = total,
                    ["order_ns"] = result.DeathNanoseconds * times, ["touch_ns"] = result.FillNanoseconds + 100,
                    ["touch_again_ns"] = 100, ["samples"] = new JsonObject { ["total_ns"] = new JsonArray(total) },
                });
            }
        }

        return new JsonObject
        {
            ["schema"] = "quietus.probe/1",
            ["host"] = new JsonObject
            {
                ["architecture"] = "aarch64", ["cpu"] = "a test", ["cpus"] = machine.Pes, ["sockets"] = 1,
                ["memory_bytes"] = 8L << 30,
                ["forced_write_back"] = machine["forced_write_back"] != 0, ["range_tlbi"] = true, ["level_hint"] = true,
                ["dic"] = true,
            },
            ["rows"] = rows,
        };
    }

    private static SimulationRequest Request(MachinePreset machine, long memory, DeathKind death) => new()
    {
        Machine = machine, MemoryBytes = (ulong)memory, Pages = GuestPages.Pages4K, Death = death, Vcpus = 1,
        Policy = death is DeathKind.Exit or DeathKind.Kill ? MaintenancePolicy.Series : MaintenancePolicy.BeforeSeries,
    };
}
