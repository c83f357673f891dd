using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using Quietus.Cli.Bench;
using Quietus.Cli.Check;
using Quietus.Cli.Churn;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Doctor;
using Quietus.Cli.Qemu;
using Quietus.Cli.Replay;
using Quietus.Cli.Reports;
using Quietus.Cli.Sim;
using Quietus.Cli.Tests.Bench;
using Quietus.Cli.Tests.Replay;
using Quietus.Oracle.Recording;
using Quietus.Simulator;
using Quietus.Traces;
using Shouldly;
using Xunit;
using MaintenancePolicy = Quietus.Cli.Guests.MaintenancePolicy;

namespace Quietus.Cli.Tests.Reports;

/// <summary>
/// Every JSON document, character by character, of a small made-up result. A test that fails leaves what it got beside
/// its golden file, as <c>*.actual.json</c>.
/// </summary>
public sealed partial class DocumentTests
{
    private static readonly Bill _bill = new(
        new OperationCounts
        {
            TlbiIpa = 1, TlbiRange = 2, TlbiVmid = 3, TlbiVmalle1 = 4, DcLines = 5, DsbStores = 6, EntryUnlinks = 9,
        },
        new TimeShares
        {
            CachePicoseconds = 1_000, TlbiPicoseconds = 1_234_567, WalkPicoseconds = 0, TableFreePicoseconds = 500,
            HostFreePicoseconds = 7_000_000_001, OtherPicoseconds = 3,
        });

    [Fact]
    public void Bench_with_KVM() => Compare("bench", () =>
    {
        BenchResult sample = KvmTests.Sample("cortex-a72", 2106, 51.7);
        BenchRow nothing = sample.Rows[1] with
        {
            Death = Samples.Death(0, 0, 12),
            Life = new LifeFigures { Exits = 2, FaultExits = 0 },
        };
        BenchResult result = sample with { Rows = [sample.Rows[0], nothing], Notes = ["a <note> & \"more\" – é"] };
        return BenchDocument.Of(result);
    });

    [Fact]
    public void Bench_without_KVM_has_no_such_object()
    {
        using var stream = new MemoryStream();
        BenchDocument.Of(KvmTests.Sample("cortex-a72", 2106, 51.7) with { Kvm = null }).Write(stream);
        Encoding.UTF8.GetString(stream.ToArray()).ShouldNotContain("\"kvm\"");
    }

    [Fact]
    public void Churn() => Compare("churn", () => ChurnDocument.Of(new ChurnResult
    {
        Plan = new ChurnPlan
        {
            Count = 2, Lifetime = "mixed", Cpu = CpuModel.All[0], Pages = ["4k", "2m"], Command = "./quietus bench",
            Limit = TimeSpan.FromMinutes(1),
        },
        Lives =
        [
            .. Enumerable.Range(0, ChurnPhase.LeastForDrift).Select(number => new ChurnLife
            {
                MemoryBytes = 16 << 20, Pages = "4k", Create = 1000 + number, FirstInstruction = null,
                Fill = number == 0 ? 70_001 : null, Kill = 1600, MemoryBack = 1500, ScrubZero = 20, ScrubClean = 30,
                ScrubbedChunks = 1,
            }),
        ],
        IsInterrupted = true,
        Totals = new ChurnTotals(ChurnPhase.LeastForDrift, 0, 0, 0, null),
        QemuVersion = "7.2.22",
        ImageSha256 = new string('a', 64),
        WallNanoseconds = 2_000_000_000,
    }));

    [Theory]
    [InlineData("sim", false)]
    [InlineData("sim-ablate", true)]
    public void Simulation(string golden, bool ablate) => Compare(golden, () =>
    {
        var plan = new SimulationPlan
        {
            Machines = Machines.Parse(["d05"], []),
            MemoryBytes = [ByteSize.Gigabyte],
            Pages = [GuestPages.Blocks2M],
            Deaths = [DeathKind.Kill],
            Policies = ablate ? MaintenancePolicy.All : [Samples.Fate],
            Vcpus = 4,
            Seed = 1,
            Ablate = ablate,
            Command = "./quietus sim",
        };
        return SimulationDocument.Of(new SimulationRun
        {
            Plan = plan,
            Rows =
            [
                .. plan.Cases.Select(what => new SimulationRow(what.Policy, new SimulationResult
                {
                    Request = what.Request, MappedPages4K = 8, MappedBlocks2M = 512, MappedBlocks1G = 0,
                    TablePages = 3, Fill = _bill, Death = _bill, VictimNanoseconds = 12.34567, InvariantsChecked = 1,
                })),
            ],
        });
    });

    [Fact]
    public void Replay() => Compare("replay", () =>
    {
        MachinePreset machine = Machines.Parse(["d05"], [])[0];
        var phase = new ReplayPhase(_bill, 2);
        return ReplayDocument.Of(new ReplayResult
        {
            File = "munmap-2M-4k.txt.gz",
            Process = null,
            Trace = ReplayTests.Read("munmap-2M-4k"),
            Machines = [machine],
            Policies = [Samples.BeforeSeries],
            Cause = UnmapCause.Parse("munmap"),
            Rows = [new ReplayRow(machine, Samples.BeforeSeries, phase, phase, phase, 1)],
            Command = "./quietus replay",
        });
    });

    [Fact]
    public void Doctor() => Compare("doctor", () => DoctorDocument.Of(new Examination(
        [
            new Finding("QEMU", false, "no 'qemu'", true, "emulates the Arm machine", "qemu-system-arm"),
            new Finding("image", true, "built", false, "is the hypervisor", Remedy: "./quietus bench builds it"),
        ],
        HasApt: true,
        IsRoot: true)));

    [Fact]
    public void Litmus() => Compare("litmus", () => LitmusDocument.Of(
    [
        new LitmusRow("break", "ALLOWED: a stale entry", LitmusResult.Agree, "stale-read, line 7"),
        new LitmusRow("tlbi", "FORBIDDEN", LitmusResult.NotExpressible, "no 'x' here"),
    ]));

    private static void Compare(string name, Func<Document> make)
    {
        using var stream = new MemoryStream();
        make().Write(stream);
        string text = Volatile().Replace(Encoding.UTF8.GetString(stream.ToArray()), string.Empty);
        string path = Path.Combine(AppContext.BaseDirectory, "Golden", name);
        string golden = File.Exists(path + ".json") ? File.ReadAllText(path + ".json") : string.Empty;
        if (text != golden)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path + ".actual.json", text);
        }

        text.ShouldBe(golden);
    }

    // What a calibration changes: the figures of a machine after its first, and what the model makes of them.
    [GeneratedRegex("""(?<="sockets": \{[^}]*\})(,\s*"\w+": \{[^}]*\})+|(?<="model_d05_ns": )\d+""")]
    private static partial Regex Volatile();
}
