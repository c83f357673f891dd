using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Campaigns;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Wire;

namespace Quietus.Cli.Bench;

/// <summary>Everything that a bench run is to do, resolved: no default is left to be decided.</summary>
internal sealed record BenchPlan
{
    public required CpuModel Cpu { get; init; }

    /// <summary>vCPUs of each VM.</summary>
    public required int Cpus { get; init; }

    public required IReadOnlyList<GuestPayload> Guests { get; init; }

    public required IReadOnlyList<long> MemoryBytes { get; init; }

    public required IReadOnlyList<string> Pages { get; init; }

    public required IReadOnlyList<MaintenancePolicy> Policies { get; init; }

    /// <summary>The ways in which a VM's memory goes here: by the two orders of the monitor.</summary>
    public static IReadOnlyList<DeathWay> Ways { get; } = [DeathWay.Kill, DeathWay.Unmap];

    /// <summary>What is claimed of the pages that a live VM loses: it decides whether they are cleaned.</summary>
    public Memory.PageFate Fate { get; init; } = Memory.PageFate.AnonymousLastMappingFreed;

    /// <summary>The end of a heading: the fate, where it is not the ordinary one.</summary>
    public string FateNote => Fate == Memory.PageFate.Unknown ? ", fate " + Fate.Name() : string.Empty;

    /// <summary>QEMU processes at a time.</summary>
    public required int Jobs { get; init; }

    /// <summary>How long one VM may take to boot and dirty its memory, or to die.</summary>
    public required TimeSpan Limit { get; init; }

    /// <summary>The part of the deaths that is to be measured; null for all.</summary>
    public Shard? Shard { get; init; }

    /// <summary>Which of the deaths are to be measured.</summary>
    public ShardRange Part => (Shard ?? new Shard(0, 1)).Of(Cases.Count);

    /// <summary>The deaths in the order of the results: guest, memory, pages, policy, way.</summary>
    public IReadOnlyList<BenchCase> Cases =>
    [
        .. from guest in Guests
           from memory in MemoryBytes
           from pages in Pages
           from policy in Policies
           from way in Ways
           select new BenchCase(guest, memory, pages, policy, way),
    ];

    /// <summary>
    /// Which deaths share a boot, as indexes into <see cref="Cases"/>: those of one guest and memory size, one VM after
    /// the other, cut into as many boots as there are jobs to run them.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<int>> Boots
    {
        get
        {
            IReadOnlyList<BenchCase> cases = Cases;
            var groups = Enumerable.Range((int)Part.First, (int)Part.Length)
                .GroupBy(index => (cases[index].Guest.Name, cases[index].MemoryBytes))
                .Select(group => group.ToArray())
                .ToList();
            int parts = Math.Max(1, Jobs / Math.Max(1, groups.Count));
            return [.. groups.SelectMany(group => group.Chunk((group.Length + parts - 1) / parts))];
        }
    }

    /// <summary>RAM of the machine that a boot with this VM needs: its VMs live one after the other.</summary>
    public static long MachineMemory(GuestPayload guest, long memoryBytes)
    {
        long megabyte = CommandLine.ByteSize.Megabyte;
        long needed = memoryBytes + QemuMachine.Overhead + guest.PayloadBytes;
        return (needed + megabyte - 1) / megabyte * megabyte;
    }
}
