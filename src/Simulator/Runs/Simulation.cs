using System;
using System.Threading;

namespace Quietus.Simulator;

/// <summary>Simulates a VM's life and death on a machine.</summary>
public static class Simulation
{
    /// <summary>Fills a VM as asked, ends it as asked, and tells what that came to. The same request gives the same.</summary>
    /// <exception cref="SimulationException">The request makes no sense, or does not fit the machine.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static SimulationResult Run(SimulationRequest request, CancellationToken cancellation = default) =>
        throw new NotImplementedException();
}
