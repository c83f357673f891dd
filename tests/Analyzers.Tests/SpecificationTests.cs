using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Shouldly;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>What the documents name exists: a promise without its test is no promise.</summary>
public class SpecificationTests
{
    /// <summary>A test in a document: a class whose name ends in Tests, and mostly a method of it.</summary>
    private const string Name = @"`(\w+Tests)(?:\.(\w+))?`";

    private static readonly Dictionary<string, string> _suites = Repository.Files
        .Where(path => path.StartsWith("tests/", System.StringComparison.Ordinal)
            && path.EndsWith(".cs", System.StringComparison.Ordinal))
        .Select(path => File.ReadAllText(Path.Combine(Repository.Root, path)))
        .SelectMany(text => Regex.Matches(text, @"\bclass (\w+Tests)\b").Select(type => (type.Groups[1].Value, text)))
        .GroupBy(entry => entry.Value, entry => entry.text)
        .ToDictionary(entry => entry.Key, entry => string.Concat(entry));

    public static TheoryData<string> Pages =>
        [.. Repository.Files.Where(path => path is "SPECIFICATION.md" or "docs/security.md" or "docs/guests.md")];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Each_test_that_is_named_exists(string page)
    {
        MatchCollection named = Regex.Matches(File.ReadAllText(Path.Combine(Repository.Root, page)), Name);
        named.Where(test => !Exists(test.Groups[1].Value, test.Groups[2].Value)).Select(test => test.Value)
            .ShouldBeEmpty();
    }

    [Fact]
    public void The_specification_names_tests() => Regex.Count(
        File.ReadAllText(Path.Combine(Repository.Root, "SPECIFICATION.md")), Name).ShouldBeGreaterThan(20);

    [Fact]
    public void A_newcomer_finds_every_file_and_member_that_the_guide_names()
    {
        string guide = File.ReadAllText(Path.Combine(Repository.Root, "CONTRIBUTING.md"));
        string[] sources = [.. Repository.Files.Where(path => path.EndsWith(".cs", System.StringComparison.Ordinal))];
        Regex.Matches(guide, @"`([\w./]*\w\.(?:cs|md))`").Select(match => match.Groups[1].Value)
            .Where(name => !Repository.Files.Any(path =>
                path == name || path.EndsWith("/" + name, System.StringComparison.Ordinal)))
            .ShouldBeEmpty();
        string all = string.Concat(sources.Select(path => File.ReadAllText(Path.Combine(Repository.Root, path))));
        Regex.Matches(guide, @"`([A-Z]\w+)\.([A-Z]\w+)`")
            .Where(match => !Regex.IsMatch(all, $@"\b(?:class|struct) {match.Groups[1].Value}\b")
                || !Regex.IsMatch(all, $@"\b{match.Groups[2].Value}\("))
            .Select(match => match.Value)
            .ShouldBeEmpty();
    }

    private static bool Exists(string type, string method) =>
        _suites.TryGetValue(type, out string? text)
        && (method.Length == 0 || Regex.IsMatch(text, $@"\b{method}\("));
}
