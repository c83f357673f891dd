using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Bench;
using Quietus.Cli.Births;
using Quietus.Cli.Churn;
using Quietus.Cli.Many;
using Quietus.Cli.Probe;
using Quietus.Cli.Replay;
using Quietus.Cli.Sim;

namespace Quietus.Cli.Compare;

/// <summary>
/// Rows of a document that can be compared. Every number of a row is a figure of which less is better, unless it is
/// named here; so a figure that a document gets later is compared without a word of this table.
/// </summary>
/// <param name="Name">The array's key; empty for the figures of the document itself, an object's for one row.</param>
/// <param name="Keys">What tells a row from the others.</param>
/// <param name="Ignored">What says how large the work was, or how the host was loaded that day.</param>
internal sealed record ComparedArray(string Name, IReadOnlyList<string> Keys, IReadOnlyList<string> Ignored)
{
    private static readonly string[] _pages = ["mapped_pages_4k", "mapped_blocks_2m", "mapped_blocks_1g"];

    private static readonly string[] _replayed =
    [
        "map_leaves", "map_tables", "unmap_leaves", "unmap_tables", "death_leaves", "death_tables", "refused_maps",
    ];

    /// <summary>What can be compared, by schema. docs/compare.md has the same list.</summary>
    private static readonly Dictionary<string, ComparedArray[]> _schemas = new()
    {
        [BenchDocument.Name] =
        [
            new("rows", ["guest", "memory_bytes", "page_size", "policy", "way"],
                [.. _pages, "wall_ns", "freed_bytes", "life_exits", "life_fault_exits", "life_map_calls"]),
            new("primitives", [], []),
        ],
        [BirthsDocument.Name] =
        [
            new("rows", ["template", "memory_bytes", "page_size", "vcpus"], [.. _pages, "wall_ns"]),
        ],
        [ChurnDocument.Name] =
        [
            new(string.Empty, [], ["births", "wall_ns"]),
            new("phases", ["phase"], ["count"]),
        ],
        [ManyDocument.Name] = [new("rows", ["figure"], ["bound"])],
        [SimulationDocument.Name] =
        [
            new("rows", ["machine", "memory_bytes", "page_size", "die", "policy"], [.. _pages, "table_pages"]),
            new("ablation", ["machine", "memory_bytes", "page_size", "die", "patches"], ["saved_ns"]),
        ],
        [ArchitectureDocument.Name] =
        [
            new("rows", ["machine", "architecture", "memory_bytes", "page_size", "die", "policy"], ["table_pages"]),
        ],
        [HooksDocument.Name] = [new("rows", ["machine", "architecture", "event"], [])],
        [ProbeResult.Schema] =
        [
            new("rows", ["page_size", "memory_bytes", "way"], ["transparent_bytes"]),
            new("neighbours", ["page_size", "memory_bytes", "way"], []),
            new("together", ["page_size", "memory_bytes", "vms"], []),
        ],
        [ReplayDocument.Name] = [new("rows", ["machine", "policy"], _replayed)],
        [ReplaySetDocument.Name] = [new("rows", ["trace", "machine", "policy"], _replayed)],
    };

    /// <summary>The schemas that can be compared.</summary>
    public static IEnumerable<string> Schemas => _schemas.Keys;

    /// <summary>A schema's arrays; null where it cannot be compared.</summary>
    public static IReadOnlyList<ComparedArray>? Of(string schema) => _schemas.GetValueOrDefault(schema);

    /// <summary>Whether more of a figure is better.</summary>
    public static bool IsMoreBetter(string figure) => figure.Contains("_per_", StringComparison.Ordinal)
        && figure.EndsWith("_second", StringComparison.Ordinal);
}
