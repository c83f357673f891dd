using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Shouldly;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>
/// A policy, a fate and a way to die each have their name in one file, which the image and the command line share.
/// Elsewhere the product compares values: a name that is written twice can be changed once.
/// </summary>
public class NamesTests
{
    private static readonly string[] _homes =
    [
        "src/Memory/Policy/PolicyNames.cs", "src/Memory/Policy/FateNames.cs", "src/Wire/Names/DeathWay.cs",
        "src/Wire/Names/KvmWay.cs", "src/Wire/Names/ProbeWay.cs",
    ];

    /// <summary>The same word in another sense, and where.</summary>
    private static readonly HashSet<(string Word, string Path)> _otherSenses =
    [
        ("fate", "src/Hypervisor/Monitor/Commands.cs"), // the key of an order
        ("fate", "src/Cli/Bench/BenchVerb.cs"), // what an option names
        ("munmap", "src/Oracle/Programs/HugeFile.cs"), // the system call
        ("munmap", "src/Cli/Replay/UnmapCause.cs"),
        ("munmap", "src/Cli/Sim/SimulationNames.cs"),
        ("unknown", "src/Cli/ThisProgram.cs"), // nothing is known
        ("unknown", "src/Cli/Bench/BenchRunner.cs"),
        ("unknown", "src/Cli/Bench/Kvm/KvmProbeLines.cs"),
        ("unknown", "src/Cli/Doctor/Examination.cs"),
        ("unknown", "src/Cli/Replay/ReplayVerb.cs"),
        ("close", "src/Cli/Probe/ProbeReport.cs"), // a part of a death
        ("unmap", "src/Cli/Probe/ProbeReport.cs"),
        ("close", "src/Cli/Probe/ProbeTable.cs"),
        ("unmap", "src/Cli/Probe/ProbeTable.cs"),
        ("close", "guests/Probe/Output/Table.cs"),
        ("unmap", "guests/Probe/Output/Table.cs"),
        ("unmap", "src/Cli/Replay/ReplaySetDocument.cs"), // the key of a phase
        ("slot", "src/Cli/Bench/BenchBoot.cs"), // a memory slot
        ("slot", "src/Cli/Births/BirthsBoot.cs"),
        ("slot", "src/Cli/Probe/ProbeTable.cs"),
        ("slot", "src/Cli/Run/RunSession.cs"),
        ("slot", "src/Cli/Sim/HooksTable.cs"),
        ("slot", "src/Cli/Sim/SimulationNames.cs"),
        ("slot", "src/Cli/Templates/TemplateMachine.cs"),
        ("slot", "src/Hypervisor/Monitor/BirthCommands.cs"),
        ("slot", "src/Hypervisor/Monitor/Commands.cs"),
        ("freed", "src/Oracle/Programs/Licence.cs"), // the end of a sentence
    ];

    [Theory]
    [InlineData("src/Memory/Policy/PolicyNames.cs", 7)]
    [InlineData("src/Memory/Policy/FateNames.cs", 2)]
    [InlineData("src/Wire/Names/DeathWay.cs", 3)]
    [InlineData("src/Wire/Names/KvmWay.cs", 6)]
    [InlineData("src/Wire/Names/ProbeWay.cs", 8)]
    public void A_home_has_its_names(string home, int count) => NamesIn(home).Count().ShouldBe(count);

    [Fact]
    public void A_name_stands_in_its_home_alone()
    {
        HashSet<string> names = [.. _homes.SelectMany(NamesIn)];
        string.Join('\n', Repository.Files.Where(IsProduct).Where(path => !_homes.Contains(path))
            .SelectMany(path => Literals(path).Where(names.Contains).Select(word => (word, path)).Distinct())
            .Where(found => !_otherSenses.Contains(found))
            .Select(found => $"{found.path}: \"{found.word}\"")).ShouldBeEmpty();
    }

    [Fact]
    public void Every_other_sense_still_is_one() =>
        _otherSenses.Where(entry => !Literals(entry.Path).Contains(entry.Word)).ShouldBeEmpty();

    private static IEnumerable<string> NamesIn(string home) =>
        Regex.Matches(Read(home), "\"([^\"]+)\"u8").Select(match => match.Groups[1].Value);

    private static IEnumerable<string> Literals(string path) =>
        Regex.Matches(Read(path), "(?<![=\\w])\"([^\"\\n]*)\"").Select(match => match.Groups[1].Value);

    private static bool IsProduct(string path) =>
        path.EndsWith(".cs", StringComparison.Ordinal)
        && (path.StartsWith("src/", StringComparison.Ordinal) || path.StartsWith("guests/", StringComparison.Ordinal));

    private static string Read(string path) => File.ReadAllText(Path.Combine(Repository.Root, path));
}
