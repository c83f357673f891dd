using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Campaigns;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Wire;

namespace Quietus.Cli.Churn;

/// <summary>How long a VM of a churn lives: until what it is killed.</summary>
internal static class Lifetime
{
    /// <summary>Created, and never started.</summary>
    public const string Created = "created";

    /// <summary>Killed as soon as its vCPU has been sent off: wherever it is by then.</summary>
    public const string Started = "started";

    /// <summary>Killed when it has dirtied half of its memory.</summary>
    public const string Filled = "filled";

    /// <summary>One after the other.</summary>
    public const string Mixed = "mixed";

    public static IReadOnlyList<string> All { get; } = [Created, Started, Filled, Mixed];

    /// <summary>Of a template's child: it works, and is put back to its birth before it is killed.</summary>
    public const string Reset = "reset";

    private static readonly string[] _mix = [Filled, Started, Filled, Created];
    private static readonly string[] _childMix = [Filled, Reset, Created];

    /// <summary>What becomes of the VM with a number.</summary>
    public static string Of(string lifetime, int number) =>
        lifetime == Mixed ? _mix[number % _mix.Length] : lifetime;

    /// <summary>What becomes of the template's child with a number.</summary>
    public static string OfChild(string lifetime, int number) =>
        lifetime == Mixed ? _childMix[number % _childMix.Length] : lifetime;
}

/// <summary>
/// What one short life cost, in instructions; null where it did not come to that. What begins on one core and ends on
/// another is virtual time, which under icount counts instructions as well, to the system counter's 16 ns.
/// </summary>
internal sealed record ChurnLife
{
    public required long MemoryBytes { get; init; }

    public required string Pages { get; init; }

    public required long Create { get; init; }

    public required long? FirstInstruction { get; init; }

    public required long? Fill { get; init; }

    /// <summary>Putting a child back to its birth.</summary>
    public long? Reset { get; init; }

    /// <summary>From the order until all memory is back: what was still to be stopped is in it.</summary>
    public required long Kill { get; init; }

    /// <summary>The part of it after the last vCPU had stopped.</summary>
    public required long MemoryBack { get; init; }

    /// <summary>Zeroing what it left, and cleaning that to the PoC, before the next is born.</summary>
    public required long ScrubZero { get; init; }

    public required long ScrubClean { get; init; }

    public required long ScrubbedChunks { get; init; }
}

/// <summary>
/// A phase of all lives: what it cost, and the medians of the first and last tenth, which are null where too few VMs
/// came to it for a drift to mean anything.
/// </summary>
internal sealed record ChurnPhase(string Name, Distribution Figures, long? FirstTenth, long? LastTenth)
{
    /// <summary>
    /// VMs that a drift takes: a tenth of them has every size with every page size twice.
    /// </summary>
    public const int LeastForDrift = 200;

    /// <summary>A part of <see cref="DeathWay.Kill"/>, which is not to be counted twice.</summary>
    public const string MemoryBack = "memory_back";

    /// <summary>How far the last tenth is from the first, as a share of it; null where that cannot be said.</summary>
    public double? Drift => (LastTenth - FirstTenth) / (double?)FirstTenth;

    public static ChurnPhase Of(string name, IReadOnlyList<ChurnLife> lives, Func<ChurnLife, long?> figure)
    {
        long[] values = [.. lives.Select(figure).OfType<long>()];
        bool hasTenths = values.Length >= LeastForDrift;
        int tenth = values.Length / 10;
        return new ChurnPhase(
            name, Distribution.Of(values), hasTenths ? Median(values[..tenth]) : null,
            hasTenths ? Median(values[^tenth..]) : null);
    }

    /// <summary>
    /// Births and deaths in a second of virtual time, in which a machine carries out 10^9 instructions: by the phases
    /// alone, without the monitor's talk between them.
    /// </summary>
    public static double BirthsPerVirtualSecond(long births, IEnumerable<ChurnPhase> phases)
    {
        double seconds = phases.Where(phase => phase.Name != MemoryBack).Sum(phase => phase.Figures.Sum) / 1e9;
        return seconds == 0 ? 0 : births / seconds;
    }

    private static long? Median(IEnumerable<long> values) => Distribution.Of(values).Rank(50);
}

/// <summary>A churn: so many VMs, one after the other, in one boot.</summary>
internal sealed record ChurnPlan
{
    /// <summary>Their memory, in turn.</summary>
    public static IReadOnlyList<long> Sizes { get; } =
    [
        16 * ByteSize.Megabyte, 22 * ByteSize.Megabyte, 34 * ByteSize.Megabyte, 50 * ByteSize.Megabyte,
        64 * ByteSize.Megabyte,
    ];

    public required int Count { get; init; }

    /// <summary>The part of them that is to be lived; null for all.</summary>
    public Shard? Shard { get; init; }

    /// <summary>The numbers of those that are to be lived.</summary>
    public ShardRange Part => (Shard ?? new Shard(0, 1)).Of(Count);

    public required string Lifetime { get; init; }

    public required CpuModel Cpu { get; init; }

    public required IReadOnlyList<string> Pages { get; init; }

    /// <summary>What boots and becomes a template, whose children the VMs are; null where each is made anew.</summary>
    public GuestPayload? Template { get; init; }

    public required TimeSpan Limit { get; init; }

    /// <summary>The command that repeats it.</summary>
    public required string Command { get; init; }
}

/// <summary>What a churn came to, also one that was cut short.</summary>
internal sealed record ChurnResult
{
    public required ChurnPlan Plan { get; init; }

    public required IReadOnlyList<ChurnLife> Lives { get; init; }

    public required bool IsInterrupted { get; init; }

    public required ChurnTotals Totals { get; init; }

    public required string QemuVersion { get; init; }

    public required string ImageSha256 { get; init; }

    public required long WallNanoseconds { get; init; }

    public IReadOnlyList<ChurnPhase> Phases => Plan.Template is null ? Whole : Births;

    private ChurnPhase[] Births =>
    [
        ChurnPhase.Of("birth", Lives, life => life.FirstInstruction),
        ChurnPhase.Of("reset", Lives, life => life.Reset),
        ChurnPhase.Of(DeathWay.Kill.Name(), Lives, life => life.Kill),
        ChurnPhase.Of(ChurnPhase.MemoryBack, Lives, life => life.MemoryBack),
        ChurnPhase.Of("scrub_zero", Lives, life => life.ScrubZero),
        ChurnPhase.Of("scrub_clean", Lives, life => life.ScrubClean),
    ];

    private ChurnPhase[] Whole =>
    [
        ChurnPhase.Of("create", Lives, life => life.Create),
        ChurnPhase.Of("first_instruction", Lives, life => life.FirstInstruction),
        ChurnPhase.Of("fill", Lives, life => life.Fill),
        ChurnPhase.Of(DeathWay.Kill.Name(), Lives, life => life.Kill),
        ChurnPhase.Of(ChurnPhase.MemoryBack, Lives, life => life.MemoryBack),
        ChurnPhase.Of("scrub_zero", Lives, life => life.ScrubZero),
        ChurnPhase.Of("scrub_clean", Lives, life => life.ScrubClean),
    ];
}
