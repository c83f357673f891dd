using System;
using System.Linq;
using Quietus.Cli.Bench;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Tests.Bench;

/// <summary>Results made up for tests of what becomes of results.</summary>
internal static class Samples
{
    public static readonly MaintenancePolicy BeforeSeries = MaintenancePolicy.All[0];
    public static readonly MaintenancePolicy Series = MaintenancePolicy.All[4];
    public static readonly MaintenancePolicy Fate = MaintenancePolicy.All[^1];

    public static BenchPlan Plan(params MaintenancePolicy[] policies) => new()
    {
        Cpu = CpuModel.All[0],
        Cpus = 1,
        Guests = [GuestPayload.MakeFiller()],
        MemoryBytes = [256 * ByteSize.Megabyte],
        Pages = ["4k"],
        Policies = policies,
        Jobs = 1,
        Limit = TimeSpan.FromMinutes(1),
    };

    public static DeathFigures Death(long pages, long blocks, long instructions) => new()
    {
        MappedPages4K = pages,
        MappedBlocks2M = blocks,
        Instructions = instructions,
        StopInstructions = 10,
        TlbiIpa = 0,
        TlbiRange = 0,
        TlbiVmid = 1,
        TlbiVmalle1 = 0,
        DcLines = 0,
        Dsb = 2,
        VirtualNanoseconds = 5,
        FreedBytes = pages * 4096,
        LeakedFrames = 0,
    };

    public static BenchResult Result(BenchPlan plan, Func<BenchCase, DeathFigures> death) => new()
    {
        Plan = plan,
        Qemu = new QemuBinary("/usr/bin/qemu-system-aarch64", "7.2.22", "QEMU emulator version 7.2.22"),
        ImageSha256 = new string('a', 64),
        HypervisorVersion = "0.1.0",
        Command = "./quietus bench",
        QemuCommand = "qemu-system-aarch64",
        Rows =
        [
            .. plan.Cases.Select(what => new BenchRow
            {
                Case = what,
                Death = death(what),
                Life = new LifeFigures
                {
                    Exits = 1, FaultExits = 1, MapCalls = 1, MapInstructions = 1,
                },
                WallNanoseconds = 1_000_000,
            }),
        ],
        Primitives = new Primitives { HvcRoundTrip = 122.2, DemandFault = 312.5 },
        Notes = [],
        FramesReceived = 100,
        FramesDamaged = 0,
        FramesLost = 0,
        WallNanoseconds = 2_000_000_000,
    };
}
