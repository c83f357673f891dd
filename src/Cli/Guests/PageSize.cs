using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Guests;

/// <summary>In what pieces the hypervisor maps a VM's memory.</summary>
internal static class PageSize
{
    public static readonly string[] All = ["4k", "2m", "auto"];

    public static string Parse(string text) =>
        Array.Find(All, size => size.Equals(text, StringComparison.OrdinalIgnoreCase))
        ?? throw CliException.Usage($"unknown page size '{text}'", "--pages takes " + string.Join(", ", All));

    /// <summary>A list without repetitions, in the order given.</summary>
    public static IReadOnlyList<string> ParseList(IEnumerable<string> texts) =>
        [.. texts.Select(Parse).Distinct()];
}
