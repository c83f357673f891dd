namespace Quietus.Simulator;

/// <summary>A Linux-like host on a simulated server: processes, their memory, and the VMs that they own.</summary>
public sealed partial class Host
{
    /// <summary>A host that has all of the server's memory and no process.</summary>
    public Host(SimulatedServer server) => Server = server;

    /// <summary>The server.</summary>
    public SimulatedServer Server { get; }
}
