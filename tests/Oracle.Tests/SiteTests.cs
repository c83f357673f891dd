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
    private const string Doubled =
        "the invalidation that follows begins with the same barrier; kept, for the policy is what Linux 5.5 did";

    /// <summary>What random programs do not find, and why. All other sites are found.</summary>
    private static readonly Dictionary<string, string> _notFound = new()
    {
        ["PageTable.UnmapEager.UnmapLeafEager, DSB ISHST"] = Doubled,
        ["PageTable.UnmapEager.ClearRun, DSB ISHST"] = Doubled,
    };

    /// <summary>What finds a site, where that is not programs of hosts and guests.</summary>
    private static readonly Dictionary<string, SitePrograms> _foundBy = new()
    {
        ["PageTable.Destroy.DestroyEager, invalidation of the VMID"] = SitePrograms.PostedDeaths,
        ["PageTable.Destroy.ReleaseTables, DSB SY"] = SitePrograms.Tables,
        ["PageTable.Map.MapRange, DSB ISHST"] = SitePrograms.Tables,
        ["PageTable.Map.Replace, DSB SY"] = SitePrograms.Tables,
        ["PageTable.Map.Remap, invalidation of an IPA"] = SitePrograms.Tables,
        ["PageTable.Map.Remap, invalidation of an IPA 2"] = SitePrograms.Tables,
        ["PageTable.Map.Remap, DSB ISHST"] = SitePrograms.Tables,
        ["PageTable.Map.EntryFor, DSB ISHST"] = SitePrograms.Tables,
        ["PageTable.Split.Split, DSB ISHST 2"] = SitePrograms.Tables,
        ["PageTable.Split.Dissolve, invalidation of a debt"] = SitePrograms.Tables,
        ["PageTable.Split.Dissolve, DSB ISHST"] = SitePrograms.Tables,
        ["PageTable.Share.CleanRange, DSB SY"] = SitePrograms.Forks,
        ["PageTable.Share.Relink, DSB ISHST"] = SitePrograms.Forks,
        ["PageTable.Share.BreakSharedPage, DSB ISHST"] = SitePrograms.Forks,
        ["PageTable.Share.BreakSharedPage, invalidation of an IPA"] = SitePrograms.Forks,
        ["PageTable.Share.Relink, invalidation of an IPA"] = SitePrograms.Forks,
        ["PageTable.Share.Fork, DSB ISHST"] = SitePrograms.Forks,
        ["PageTable.Share.Freeze, invalidation of the VMID"] = SitePrograms.Forks,
    };

    public static TheoryData<string> Found => [.. Site.Names.Except(_notFound.Keys)];

    [Theory]
    [MemberData(nameof(Found))]
    public void A_site_that_is_left_out_is_found(string site) =>
        Search(site).Steps.ShouldBeLessThanOrEqualTo(LongestStory);

    [Theory]
    [InlineData(SitePrograms.Machines)]
    [InlineData(SitePrograms.PostedDeaths)]
    [InlineData(SitePrograms.Tables)]
    [InlineData(SitePrograms.Forks)]
    public void With_all_sites_no_rule_breaks(SitePrograms kind) =>
        Site.Search(-1, kind, DefectSearch.Bases[0], MostPrograms).ShouldBeNull();

    [Fact]
    public void What_is_not_found_are_sites_of_the_engine() =>
        _notFound.Keys.Concat(_foundBy.Keys).Except(Site.Names).ShouldBeEmpty();

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
        return Site.Search(site, _foundBy.GetValueOrDefault(name), firstSeed, MostPrograms)
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
            CultureInfo.InvariantCulture,
            $" {kill.Rule} | {kill.Reader}{By(name)} | {kill.Programs} | {kill.Steps} |");
    }

    private static string By(string name) => _foundBy.GetValueOrDefault(name) switch
    {
        SitePrograms.PostedDeaths => ", under patch 5",
        SitePrograms.Tables => ", by calls of the tables",
        SitePrograms.Forks => ", with forks",
        _ => string.Empty,
    };
}
