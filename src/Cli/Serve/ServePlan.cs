using System;
using System.Collections.Generic;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Serve;

/// <summary>Everything that <c>serve</c> is to do, resolved.</summary>
internal sealed record ServePlan
{
    public required ServerAddress Address { get; init; }

    /// <summary>What a client on TCP has to show; null on a socket, whose file mode decides.</summary>
    public string? Token { get; init; }

    /// <summary>Permission bits of the socket.</summary>
    public int SocketMode { get; init; } = 0x180; // 0600

    /// <summary>Names of templates, one machine each.</summary>
    public required IReadOnlyList<string> Templates { get; init; }

    /// <summary>Templates whose VMs have a network may be held.</summary>
    public bool MayHaveNetwork { get; init; }

    public required CpuModel Cpu { get; init; }

    /// <summary>VMs of one template at a time.</summary>
    public required int MostVms { get; init; }

    /// <summary>Bytes of this host's memory that all machines may take.</summary>
    public required long MostMemory { get; init; }

    /// <summary>How long a job may take, whatever it asks for.</summary>
    public required TimeSpan MostTime { get; init; }

    /// <summary>Jobs of one template that may wait for a VM; the next one is refused.</summary>
    public required int MostWaiting { get; init; }

    /// <summary>How long running jobs have when the server is told to stop.</summary>
    public required TimeSpan Grace { get; init; }

    public required TimeSpan BootLimit { get; init; }
}
