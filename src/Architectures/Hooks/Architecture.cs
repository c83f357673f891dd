using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Memory;
using Quietus.Simulator;

namespace Quietus.Architectures;

/// <summary>Why something cannot be had on an architecture, and what to do.</summary>
/// <param name="Problem">What is wrong, without a full stop.</param>
/// <param name="Remedy">What to do, as a sentence.</param>
public sealed record Refusal(string Problem, string Remedy);

/// <summary>
/// One of the architectures whose hook patch 1 changed, beside arm64: its names, the pages that it maps, the policies
/// that mean something there, and what Linux 5.5's hook did.
/// </summary>
public sealed record Architecture
{
    private static readonly MaintenancePolicy[] _everywhere =
        [MaintenancePolicy.BeforeSeries, MaintenancePolicy.Series, MaintenancePolicy.Fate];

    /// <summary>Its name in presets and on the command line, such as <c>x86-ept</c>.</summary>
    public required string Name { get; init; }

    /// <summary>What it is, for people.</summary>
    public required string Title { get; init; }

    /// <summary>The file of Linux 5.5 that has its hook.</summary>
    public required string Source { get; init; }

    /// <summary>What 5.5's hook did with a range, in one sentence.</summary>
    public required string Did { get; init; }

    /// <summary>What the event, and the fate, are good for, in one sentence.</summary>
    public required string Does { get; init; }

    /// <summary>What the event must not be taken to allow.</summary>
    public required string MustNot { get; init; }

    /// <summary>In what sizes it maps host pages.</summary>
    public required IReadOnlyList<GuestPages> Pages { get; init; }

    /// <summary>Makes a guest's memory.</summary>
    public required Func<GuestOptions, GuestHook> Maker { get; init; }

    /// <summary>The architecture's own words; an operation that it has not is not there.</summary>
    public required IReadOnlyDictionary<HookOperation, string> Names { get; init; }

    /// <summary>Policies besides those that every architecture has, and why it has no others.</summary>
    internal IReadOnlyList<MaintenancePolicy> Further { get; init; } = [];

    /// <summary>Why patch 5, and the freeing of tables alone, mean nothing here.</summary>
    internal string AtTheEnd { get; init; } = "";

    /// <summary>All of them, in the order of the documentation.</summary>
    public static IReadOnlyList<Architecture> All => Architectures.All;

    /// <summary>The architecture of a preset.</summary>
    /// <exception cref="SimulationException">There is none of that name, or it is arm64, which has an
    /// engine.</exception>
    public static Architecture Of(MachinePreset machine) =>
        All.FirstOrDefault(architecture => architecture.Name == machine.Architecture)
        ?? throw new SimulationException(
            $"{machine.Name} is a machine of '{machine.Architecture}', which has no hook here",
            $"There are: {string.Join(", ", All.Select(architecture => architecture.Name))}.");

    /// <summary>A guest's memory on it.</summary>
    /// <exception cref="SimulationException">The policy means nothing here.</exception>
    public static GuestHook Make(GuestOptions options) => Of(options.Machine).Maker(options);

    /// <summary>The architecture's own word for an operation; none where it has no such thing.</summary>
    public string? NameOf(HookOperation operation) => operation switch
    {
        HookOperation.Call => "calls",
        HookOperation.Visit => "visited",
        HookOperation.Unlink => "unlinked",
        HookOperation.Write => "changed",
        _ => Names.GetValueOrDefault(operation),
    };

    /// <summary>Why a policy cannot be had; null where it can.</summary>
    public Refusal? WhyNot(MaintenancePolicy policy, MachinePreset machine)
    {
        MaintenancePolicy[] offered = [.. Offered(machine)];
        if (offered.Contains(policy))
        {
            return null;
        }

        string reason = policy switch
        {
            MaintenancePolicy.Patch5 or MaintenancePolicy.TablesOnly => AtTheEnd,
            MaintenancePolicy.Patch6 =>
                "no cache is cleaned there when a table becomes a block, so patch 6 leaves nothing out",
            _ => "no cache is cleaned there when memory is unmapped, so patch 7 leaves nothing out",
        };
        string names = string.Join(
            ", ", offered.Select(static known => System.Text.Encoding.UTF8.GetString(PolicyNames.NameOf(known))));
        return new Refusal(
            $"{System.Text.Encoding.UTF8.GetString(PolicyNames.NameOf(policy))} means nothing on {Name}: {reason}",
            $"Choose among {names}.");
    }

    /// <summary>The policies that mean something on a machine, in the order of the story.</summary>
    public IEnumerable<MaintenancePolicy> Offered(MachinePreset machine) => Enumerable
        .Range(0, PolicyNames.Count)
        .Select(PolicyNames.At)
        .Where(policy => _everywhere.Contains(policy) || Further.Contains(policy)
            || (policy == MaintenancePolicy.Patch7 && machine["sev"] != 0));

    /// <summary>Why a size of pages cannot be had; null where it can.</summary>
    public Refusal? WhyNot(GuestPages pages, MachinePreset machine)
    {
        bool isLarge = machine["base_page"] > 4096;
        bool fits = pages switch
        {
            GuestPages.Pages4K => !isLarge,
            GuestPages.Pages64K => isLarge,
            GuestPages.Transparent => !isLarge,
            _ => true,
        };
        return fits && Pages.Contains(pages)
            ? null
            : new Refusal(
                $"{machine.Name} maps no guest memory by such pages",
                isLarge ? "Its base page has 64 KB: take 64k, 2m or 1g." : $"Take {Listed}.");
    }

    private string Listed => string.Join(", ", Pages.Where(static pages => pages != GuestPages.Pages64K)
        .Select(static pages => pages switch
        {
            GuestPages.Pages4K => "4k",
            GuestPages.Blocks2M => "2m",
            GuestPages.Blocks1G => "1g",
            _ => "thp",
        }));
}
