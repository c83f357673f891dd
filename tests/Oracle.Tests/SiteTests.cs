extern alias sites;

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Shouldly;
using sites::Quietus.Oracle.Sites;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>
/// Each barrier and each TLB invalidation that the engine issues is needed: random programs without it break a rule.
/// </summary>
public class SiteTests
{
    private const int MostPrograms = 600;
    private const int LongestStory = 14;
    private const string NotMapped = "the memory layer does not call it: no program gets there";
    private const string Contiguous = "the memory layer maps no contiguous runs: no program gets there";
    private const string Doubled = "a barrier that does as much follows before anything depends on it";
    private const string OnlyPatch5 = "reached under patch 5 alone, which breaks rules as it was posted";
    private const string Rare = "the page must change hands in the same step as it is cleaned: not found yet";

    private const string NoFork = "no program forks yet; tests/Stage2.Tests and tests/Memory.Tests have the sequence";

    /// <summary>What random programs do not find, and why. All other sites are found.</summary>
    private static readonly Dictionary<string, string> _notFound = new()
    {
        ["PageTable.Destroy.DestroyEager, invalidation of the VMID"] = OnlyPatch5,
        ["PageTable.Destroy.ReleaseTables, DSB SY"] = Rare,
        ["PageTable.Map.MapRange, DSB ISHST"] = NotMapped,
        ["PageTable.Map.Replace, DSB SY"] = Rare,
        ["PageTable.Map.Remap, invalidation of an IPA"] = NotMapped,
        ["PageTable.Map.Remap, invalidation of an IPA 2"] = NotMapped,
        ["PageTable.Map.Remap, DSB ISHST"] = NotMapped,
        ["PageTable.Map.EntryFor, DSB ISHST"] = NotMapped,
        ["PageTable.Split.Split, DSB ISHST 2"] = Doubled,
        ["PageTable.Split.Dissolve, invalidation of a debt"] = Contiguous,
        ["PageTable.Split.Dissolve, DSB ISHST"] = Contiguous,
        ["PageTable.UnmapEager.UnmapLeafEager, DSB ISHST"] = Doubled,
        ["PageTable.UnmapEager.ClearRun, DSB ISHST"] = OnlyPatch5,
        ["PageTable.Share.Freeze, invalidation of the VMID"] = NoFork,
        ["PageTable.Share.Fork, DSB ISHST"] = NoFork,
        ["PageTable.Share.Relink, DSB ISHST"] = NoFork,
        ["PageTable.Share.Relink, invalidation of a debt"] = NoFork,
        ["PageTable.Share.Relink, DSB ISHST 2"] = NoFork,
        ["PageTable.Share.CleanRange, DSB SY"] = NoFork,
        ["GuestMemory.Sharing.CopyOnWrite, DSB ISHST"] = NoFork,
        ["GuestMemory.Sharing.CopyOnWrite, DSB SY"] = NoFork,
    };

    public static TheoryData<string> Found => [.. Site.Names.Except(_notFound.Keys)];

    [Theory]
    [MemberData(nameof(Found))]
    public void A_site_that_is_left_out_is_found(string site) =>
        Search(site).Steps.ShouldBeLessThanOrEqualTo(LongestStory);

    [Fact]
    public void What_is_not_found_are_sites_of_the_engine() =>
        _notFound.Keys.Except(Site.Names).ShouldBeEmpty();

    [Fact]
    public void The_table_of_the_documentation_has_every_site()
    {
        var page = new Document("oracle-defects.md");
        if (Document.IsWritten)
        {
            page.Write("sites", Site.Names.Select(name => Row(name) + Figures(name)));
        }

        IReadOnlyList<string> rows = page.Read("sites");
        rows.Count.ShouldBe(Site.Names.Count);
        for (int at = 0; at < rows.Count; at++)
        {
            rows[at].ShouldStartWith(Row(Site.Names[at]));
        }
    }

    private static SiteKill Search(string name)
    {
        // Each site begins at another of the seed bases.
        int site = Site.Names.ToList().IndexOf(name);
        int firstSeed = DefectSearch.Bases[site % DefectSearch.Bases.Length];
        return Site.Search(site, firstSeed, MostPrograms)
            ?? throw new InvalidOperationException(
                $"{MostPrograms} programs from seed {firstSeed} on without '{name}', and no rule broke");
    }

    private static string Row(string name) =>
        _notFound.TryGetValue(name, out string? why) ? $"| {name} | {why} |" : $"| {name} |";

    private static string Figures(string name)
    {
        if (_notFound.ContainsKey(name))
        {
            return " | | |";
        }

        SiteKill kill = Search(name);
        return string.Create(
            CultureInfo.InvariantCulture, $" {kill.Rule} | {kill.Reader} | {kill.Programs} | {kill.Steps} |");
    }
}
