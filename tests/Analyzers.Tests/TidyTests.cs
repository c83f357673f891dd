using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.Versioning;
using System.Text;
using System.Text.RegularExpressions;
using Shouldly;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>The style of the house, as far as a program can see it.</summary>
public class TidyTests
{
    private const int LongestLine = 120;
    private const int LongestFile = 600;

    /// <summary>Longer than a file should be, and why.</summary>
    private static readonly Dictionary<string, string> _longFiles = [];

    /// <summary>Written in two halves, so that this file does not have what it looks for.</summary>
    private static readonly string[] _unfinished = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"];

    /// <summary>They hide who acts: the core, the guest, the host, the caller.</summary>
    private static readonly Regex _hidesTheActor = new(
        @"\b(no" + @"body|some" + @"body|who" + @"ever|any" + @"body|every" + @"body)('s)?\b", RegexOptions.IgnoreCase);

    /// <summary>No other machine has these: build agents' paths and the package hosts that they use.</summary>
    private static readonly string[] _places =
        ["/wo" + "rk/", "../sh" + "ared", ".lib" + "rary", "nuget" + ".org", "debian" + ".org", "pkgs" + ".dev"];

    /// <summary>The text files, with their lines. Data that tests read (traces, device trees) is as it came.</summary>
    private static readonly (string Path, string Text)[] _texts =
    [
        .. Repository.Files
            .Where(path => !path.Contains("/Data/", StringComparison.Ordinal))
            .Select(path => (path, bytes: File.ReadAllBytes(Path.Combine(Repository.Root, path))))
            .Where(file => !file.bytes.Contains((byte)0))
            .Select(file => (file.path, Encoding.UTF8.GetString(file.bytes))),
    ];

    [Fact]
    public void There_are_files_to_look_at() => _texts.Count(file => IsSource(file.Path)).ShouldBeGreaterThan(20);

    [Fact]
    public void No_line_of_code_is_longer_than_120_columns() => NoLine(IsSource, line => line.Length > LongestLine);

    [Fact]
    public void Nothing_is_left_to_be_done() => NoLine(
        path => IsCode(path) || path.EndsWith(".md", StringComparison.Ordinal),
        line => _unfinished.Any(word => Regex.IsMatch(line, $@"\b{word}\b")));

    [Fact]
    public void No_file_names_a_place_that_only_a_build_machine_has() =>
        NoLine(_ => true, line => _places.Any(place => line.Contains(place, StringComparison.Ordinal)));

    [Fact]
    public void Every_sentence_names_who_acts() => NoLine(_ => true, line => _hidesTheActor.IsMatch(line));

    [Fact]
    public void No_merge_is_left_half_done() => NoLine(
        _ => true,
        line => line.StartsWith("<<<<" + "<<< ", StringComparison.Ordinal)
            || line.StartsWith(">>>>" + ">>> ", StringComparison.Ordinal));

    [Fact]
    public void No_line_ends_in_white_space() => NoLine(IsCode, line => line != line.TrimEnd());

    [Fact]
    public void No_rule_of_the_house_is_switched_off_in_a_file() =>
        NoLine(IsSource, line => Regex.IsMatch(line, @"#pragma\s+warning\s+disable.*\bQT\d"));

    [Fact]
    public void Lines_end_with_a_line_feed_alone_and_so_does_the_file() => NoFile(
        file => file.Text.Contains('\r') || (file.Text.Length > 0 && !file.Text.EndsWith('\n')));

    [Fact]
    public void No_source_file_is_too_long_to_be_read_at_once() => NoFile(
        file => IsSource(file.Path) && IsLong(file.Text) && !_longFiles.ContainsKey(file.Path));

    [Fact]
    public void Every_exception_to_the_length_still_is_one() =>
        _longFiles.Keys.Except(_texts.Where(file => IsLong(file.Text)).Select(file => file.Path)).ShouldBeEmpty();

    [Fact]
    [SupportedOSPlatform("linux")]
    public void Every_script_can_be_executed() => NoFile(
        file => file.Text.StartsWith("#!", StringComparison.Ordinal)
            && !File.GetUnixFileMode(Path.Combine(Repository.Root, file.Path)).HasFlag(UnixFileMode.UserExecute));

    private static bool IsLong(string text) => text.AsSpan().Count('\n') > LongestFile;

    private static bool IsSource(string path) => path.EndsWith(".cs", StringComparison.Ordinal);

    private static bool IsCode(string path) =>
        IsSource(path)
        || Path.GetExtension(path) is ".S" or ".ld" or ".sh" or ".csproj" or ".props" or ".targets"
        || (Path.GetExtension(path).Length == 0 && !path.EndsWith("LICENSE", StringComparison.Ordinal));

    private static void NoFile(Func<(string Path, string Text), bool> isWrong) =>
        Nothing(_texts.Where(isWrong).Select(file => file.Path));

    private static void NoLine(Func<string, bool> files, Func<string, bool> isWrong) => Nothing(
        _texts
            .Where(file => files(file.Path))
            .SelectMany(file => file.Text.Split('\n').Select((line, index) => (file.Path, line, number: index + 1)))
            .Where(at => isWrong(at.line))
            .Select(at => $"{at.Path}:{at.number}: {at.line.Trim()}"));

    /// <summary>All that is wrong, one thing in a line, since it is to be mended at once.</summary>
    private static void Nothing(IEnumerable<string> wrong)
    {
        string all = string.Join('\n', wrong);
        Assert.True(all.Length == 0, $"\n{all}");
    }
}
