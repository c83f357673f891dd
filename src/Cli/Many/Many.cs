using System;
using System.Collections.Generic;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Many;

/// <summary>So many VMs on few cores, and what they cost each other.</summary>
internal sealed record ManyPlan
{
    /// <summary>Cores of a machine with many VMs; one of them is the monitor's.</summary>
    public const int Cores = 4;

    /// <summary>For how many VMs the promises are made.</summary>
    public const int Promised = 1000;

    /// <summary>What the promised number of VMs has.</summary>
    public const long PromisedMemory = 8 * ByteSize.Gigabyte;

    /// <summary>How many are alive at once.</summary>
    public required int Vms { get; init; }

    public required CpuModel Cpu { get; init; }

    /// <summary>What the many run.</summary>
    public required GuestPayload Guest { get; init; }

    public required TimeSpan Limit { get; init; }

    /// <summary>The command that repeats it.</summary>
    public required string Command { get; init; }

    /// <summary>Memory that each VM believes to have.</summary>
    public long VmMemory => (Guest.Name == GuestPayload.Filler ? 16 : 64) * ByteSize.Megabyte;

    /// <summary>The order that creates a filler which measures.</summary>
    /// <param name="append">What it does.</param>
    /// <param name="cores">The cores that it shares with the others.</param>
    /// <param name="cpus">How many vCPUs it has.</param>
    /// <param name="weight">Their weight; null for the usual.</param>
    public static string Filler(string append, string cores, int cpus = 1, int? weight = null) => new GuestOrder(
        GuestPayload.Filler, 16 * ByteSize.Megabyte, cpus, "4k", MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate),
        append)
    {
        IsRepeatable = true,
        Weight = weight,
        Cores = cores,
    }.Command;

    /// <summary>RAM of the machine: that of the promise, or what fewer VMs need.</summary>
    public long MachineMemory => Math.Min(
        PromisedMemory, QemuMachine.Overhead + (512 * ByteSize.Megabyte) + (Vms * 8 * ByteSize.Megabyte));
}

/// <summary>One figure, and what is promised of it.</summary>
/// <param name="Name">Its key, with the unit at its end.</param>
/// <param name="Title">What it is, for people.</param>
/// <param name="Value">What came out.</param>
/// <param name="Format">How it is written for people.</param>
/// <param name="Bound">The most that it may be; null where nothing is promised.</param>
internal sealed record ManyFigure(string Name, string Title, double Value, string Format, double? Bound = null)
{
    /// <summary>Whether the promise holds; null where there is none.</summary>
    public bool? IsMet => Bound is double bound ? Value <= bound : null;
}

/// <summary>All figures, also of a run that was cut short.</summary>
internal sealed record ManyResult
{
    public required ManyPlan Plan { get; init; }

    public required IReadOnlyList<ManyFigure> Figures { get; init; }

    /// <summary>VMs that were alive at once, each of which gave its own answer.</summary>
    public required int Answered { get; init; }

    /// <summary>Bits of a VMID; 0 when it did not come to that.</summary>
    public required int VmidBits { get; init; }

    /// <summary>How often all VMIDs were used up while the VMs lived.</summary>
    public required long VmidRollovers { get; init; }

    public required bool IsInterrupted { get; init; }

    /// <summary>QEMU's command line of the machine with the many.</summary>
    public required string QemuCommand { get; init; }

    public required string QemuVersion { get; init; }

    public required string ImageSha256 { get; init; }

    public required long WallNanoseconds { get; init; }
}
