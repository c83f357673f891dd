using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Simulator;
using Quietus.Wire;

namespace Quietus.Cli.Sim;

/// <summary>The words of the options for what the simulator has names of its own for.</summary>
internal static class SimulationNames
{
    private static readonly (string Name, GuestPages Pages)[] _pages =
    [
        ("4k", GuestPages.Pages4K),
        ("2m", GuestPages.Blocks2M),
        ("1g", GuestPages.Blocks1G),
        ("thp", GuestPages.Transparent),
        ("64k", GuestPages.Pages64K),
    ];

    private static readonly (string Name, DeathKind Death)[] _deaths =
    [
        ("exit", DeathKind.Exit),
        (DeathWay.Kill.Name(), DeathKind.Kill),
        ("munmap", DeathKind.Munmap),
        ("slot", DeathKind.Slot),
        ("madvise", DeathKind.Madvise),
        ("mremap", DeathKind.Mremap),
        (ProbeWay.Punch.Name(), DeathKind.Punch),
    ];

    private static readonly string[] _birthSteps =
        ["freeze", "birth", "write_first_1g", "write_first_2m", "write", "reset", DeathWay.Kill.Name()];

    public static string Pages => string.Join(", ", _pages.Select(entry => entry.Name));

    public static string Deaths => string.Join(", ", _deaths.Select(entry => entry.Name));

    public static string Of(GuestPages pages) => _pages.First(entry => entry.Pages == pages).Name;

    public static string Of(DeathKind death) => _deaths.First(entry => entry.Death == death).Name;

    public static string Of(BirthStepKind step) => _birthSteps[(int)step];

    public static GuestPages ParsePages(string name) =>
        Array.Find(_pages, entry => Same(entry.Name, name)) is { Name: not null } found
            ? found.Pages
            : throw CliException.Usage($"unknown page size '{name}'", "--pages takes " + Pages);

    public static IReadOnlyList<DeathKind> ParseDeaths(IReadOnlyList<string> names) =>
        names.Contains("all")
            ? [.. _deaths.Select(entry => entry.Death)]
            : [.. names.Select(ParseDeath).Distinct()];

    private static DeathKind ParseDeath(string name) =>
        Array.Find(_deaths, entry => Same(entry.Name, name)) is { Name: not null } found
            ? found.Death
            : throw CliException.Usage($"unknown way to die '{name}'", $"--die takes {Deaths}, and all");

    private static bool Same(string known, string name) => known.Equals(name, StringComparison.OrdinalIgnoreCase);
}
