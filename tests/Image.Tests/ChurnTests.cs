using System;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.Churn;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Image.Tests.Machines;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests;

/// <summary>Births and deaths by the hundred in one boot; each VM searches its memory for others' bytes.</summary>
public sealed class ChurnTests
{
    [Theory]
    [InlineData("cortex-a72", Lifetime.Filled)]
    [InlineData("max", Lifetime.Mixed)]
    public async Task Hundreds_of_lives_lose_no_frame_and_the_last_costs_what_the_first_did(string cpu, string lifetime)
    {
        const int Count = 200;
        var plan = new ChurnPlan
        {
            Count = Count,
            Lifetime = lifetime,
            Cpu = CpuModel.Parse(cpu),
            Pages = ["4k", "2m"],
            Limit = TestMachine.Patience,
            Command = "test",
        };
        QemuBinary qemu = await QemuBinary.FindAsync(TestMachine.Cancellation);
        ChurnResult result = await new ChurnRunner(plan, qemu, Folders.Image, _ => { })
            .RunAsync(TestMachine.Cancellation);
        result.Lives.Count.ShouldBe(Count);
        result.Totals.IsSound.ShouldBeTrue();
        foreach (ChurnPhase phase in result.Phases)
        {
            phase.Figures.Count.ShouldBeGreaterThan(0, phase.Name);
            if (phase.Name is "memory_back" or "create" || (phase.Name == "kill" && lifetime == Lifetime.Filled))
            {
                Math.Abs(phase.Drift.ShouldNotBeNull()).ShouldBeLessThanOrEqualTo(0.02, phase.Name);
            }
        }

        // A guest that has filled its memory waits in WFI, and its kill costs always the same. One that is killed in
        // the middle of a fault or of a line is first let out of it: the bound of a kill, not its usual cost.
        result.Lives.Max(life => life.Kill).ShouldBeLessThanOrEqualTo(lifetime == Lifetime.Filled ? 1_900 : 12_000);
    }
}
