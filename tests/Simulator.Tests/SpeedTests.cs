using System;
using System.Diagnostics;
using Quietus.Memory;
using Shouldly;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>What the simulator itself costs: CPU time of the whole process, so nothing else runs meanwhile.</summary>
[CollectionDefinition(nameof(SpeedTests), DisableParallelization = true)]
[Collection(nameof(SpeedTests))]
public class SpeedTests
{
    /// <summary>
    /// The target is 3 s of wall time on an idle machine of two cores. Here it is CPU time, since tests run beside each
    /// other, with as much again for a slow machine, and without the run that the JIT compiles.
    /// </summary>
    [Fact]
    public void A_VM_of_64_GB_by_4K_pages_is_filled_and_killed_in_seconds()
    {
        _ = Machines.Die("d05", 1, GuestPages.Pages4K, MaintenancePolicy.BeforeSeries);
        TimeSpan before = Cpu();

        SimulationResult death = Machines.Die("d05", 64, GuestPages.Pages4K, MaintenancePolicy.BeforeSeries);

        death.MappedPages4K.ShouldBe(1 << 24);
        (Cpu() - before).ShouldBeLessThan(TimeSpan.FromSeconds(6));

        static TimeSpan Cpu() => Process.GetCurrentProcess().TotalProcessorTime;
    }
}
