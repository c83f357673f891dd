using System;
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
        fit.NotModelled.ShouldContain(row => row.StartsWith("punch"));

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

    [Fact]
    public void One_size_leaves_nothing_to_hold_out()
    {
        JsonObject json = Probed(MachinePreset.Named(Machines.Folder, "modern"), 1);
        var rows = (JsonArray)json["rows"]!;
        foreach (JsonNode? row in rows.Where(row => row!["memory_bytes"]!.GetValue<long>() != _sizes[0]).ToArray())
        {
            rows.Remove(row);
        }

        ProbeResult probed = ProbeResult.Parse("p.json", json.ToJsonString());
        Should.Throw<CliException>(() => HostCalibration.Fit(probed, CalibratedPreset.StartFor(probed), Cancellation))
            .ExitCode.ShouldBe(ExitCode.Usage);
    }

    /// <summary>What a probe would have measured of a machine; held-out sizes take so many times as long.</summary>
    private static JsonObject Probed(MachinePreset machine, double bend)
    {
        var rows = new JsonArray();
        foreach ((long memory, int index) in _sizes.Select((memory, index) => (memory, index)))
        {
            foreach ((string way, DeathKind death) in new[]
            {
                ("close", DeathKind.Exit), ("kill", DeathKind.Kill), ("munmap", DeathKind.Munmap),
                ("slot", DeathKind.Slot),
                ("punch", DeathKind.Exit),
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
                ["memory_bytes"] = 8L << 30, ["forced_write_back"] = true, ["range_tlbi"] = true, ["level_hint"] = true,
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
