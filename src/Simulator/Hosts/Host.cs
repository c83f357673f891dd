using System;
using System.Collections.Generic;

namespace Quietus.Simulator;

/// <summary>
/// A Linux-like host on a simulated server: processes, their memory, and the VMs that they own. It decides which page
/// is where, and tells VMs of every change through the notifier before it makes it.
/// </summary>
public sealed class Host
{
    private readonly List<HostProcess> _processes = [];
    private int _nextSocket;

    /// <param name="server">The server.</param>
    /// <param name="seed">Of what is left to chance: which blocks get a transparent huge page.</param>
    /// <param name="interleave">Pages are spread over the sockets; otherwise they are the process's own
    /// socket's.</param>
    public Host(SimulatedServer server, int seed = 1, bool interleave = true)
    {
        Server = server;
        Seed = seed;
        IsInterleaving = interleave;
        Frames = new HostFrames(server.Preset);
    }

    /// <summary>The server.</summary>
    public SimulatedServer Server { get; }

    /// <summary>The processes that are alive.</summary>
    public IReadOnlyList<HostProcess> Processes => _processes;

    internal int Seed { get; }

    internal bool IsInterleaving { get; }

    internal HostFrames Frames { get; }

    /// <summary>A new process.</summary>
    /// <param name="pe">The PE that it runs on.</param>
    public HostProcess Start(int pe = 0)
    {
        if ((uint)pe >= (uint)Server.Preset.Pes)
        {
            throw new ArgumentOutOfRangeException(nameof(pe), $"The machine has {Server.Preset.Pes} PEs.");
        }

        var process = new HostProcess(this, pe);
        _processes.Add(process);
        return process;
    }

    internal void Remove(HostProcess process) => _processes.Remove(process);

    /// <summary>A page for a process that runs on a socket, not yet zeroed.</summary>
    internal ulong Allocate(int level, int socket)
    {
        if (IsInterleaving)
        {
            socket = _nextSocket;
            _nextSocket = (_nextSocket + 1) % Server.Preset.Sockets;
        }

        return Frames.Allocate(level, socket);
    }
}
