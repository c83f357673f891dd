using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Guests;

/// <summary>How the hypervisor maintains TLBs and caches when a VM's memory goes: one step of the story each.</summary>
/// <param name="Meaning">In one line, for people.</param>
/// <param name="Engine">The engine's own name of it.</param>
internal sealed record MaintenancePolicy(string Meaning, Memory.MaintenancePolicy Engine)
{
    /// <summary>All of them, in the order of the story.</summary>
    public static readonly MaintenancePolicy[] All =
    [
        new("every page: TLBI by IPA, clean and invalidate to PoC (Linux 5.5)",
            Memory.MaintenancePolicy.BeforeSeries),
        new("whole-VM release: no cache maintenance, one TLBI of the VMID",
            Memory.MaintenancePolicy.Patch5),
        new("table replaced by a block: no cache maintenance",
            Memory.MaintenancePolicy.Patch6),
        new("unmap by an UNMAP event: no cache maintenance (unsound as posted)",
            Memory.MaintenancePolicy.Patch7),
        new("all seven patches as posted",
            Memory.MaintenancePolicy.Series),
        new("as fate, but a dead VM's tables are freed one by one",
            Memory.MaintenancePolicy.TablesOnly),
        new("by page fate; unlink, invalidate once, then free; leaves not visited",
            Memory.MaintenancePolicy.Fate),
    ];

    /// <summary>As the option and the protocol say it.</summary>
    public string Name { get; } = Encoding.ASCII.GetString(Memory.PolicyNames.NameOf(Engine));

    /// <summary>The policy that the engine calls so.</summary>
    public static MaintenancePolicy Of(Memory.MaintenancePolicy engine) =>
        Array.Find(All, policy => policy.Engine == engine)!;

    /// <summary>Reads a list of names; <c>all</c> is every one. The result is in the order of the story.</summary>
    public static IReadOnlyList<MaintenancePolicy> ParseList(IReadOnlyList<string> names)
    {
        foreach (string name in names)
        {
            if (name != "all" && !Array.Exists(All, policy => policy.Name == name))
            {
                throw CliException.Usage(
                    $"unknown policy '{name}'",
                    "the policies are " + string.Join(", ", All.Select(policy => policy.Name)) + ", and all");
            }
        }

        return [.. All.Where(policy => names.Contains("all") || names.Contains(policy.Name))];
    }
}
