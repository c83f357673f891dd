using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Quietus.Memory;
using Quietus.Oracle.Search;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>An exhaustive search over shards, a level at a time, is the single machine's, bit for bit.</summary>
public class ShardedSearchTests
{
    [Theory]
    [InlineData(MaintenancePolicy.Fate, "pes=2,vms=2,pages=2", 5, 0)]
    [InlineData(MaintenancePolicy.Patch7, "pes=2,vms=2,pages=2", 5, 2)]
    [InlineData(MaintenancePolicy.Patch5, "pes=1,vms=2,pages=1", 5, 1)]
    [InlineData(MaintenancePolicy.Fate, "pes=1,vms=1,pages=1", 20, 0)]
    [InlineData(MaintenancePolicy.Fate, "pes=2,vms=2,pages=1,faults=2", 5, 0)]
    [InlineData(MaintenancePolicy.Fate, "pes=1,vms=3,pages=1,forks=1", 5, 0)]
    public void However_many_shards_the_search_is_the_same(
        MaintenancePolicy policy, string which, int steps, int findings)
    {
        ExhaustiveCoverage alone = Compare(Subject.Engine, policy, Bounds(which, steps));
        alone.Findings.Count.ShouldBe(findings);
    }

    /// <summary>With a defect maintenance is pending, and then a state is like no other: it has no owner.</summary>
    [Theory]
    [InlineData(Defect.TlbiWithoutDsb)]
    [InlineData(Defect.FramesReusedWhileVcpuRuns)]
    public void So_it_is_where_states_are_like_no_other(Defect defect) =>
        Compare(DefectSearch.SubjectWith(defect), MaintenancePolicy.Fate, new ExhaustiveBounds(1, 1, 1, 4))
            .Findings.ShouldNotBeEmpty();

    [Fact]
    public void A_level_that_is_not_whole_or_of_another_search_is_refused()
    {
        using var stream = new MemoryStream();
        ReachedState[] own = [new([3], 7), new([4], null)];
        LevelFile.Write(stream, "a", 1, 0, own, [[new([3, 1], UInt128.MaxValue)], []]);
        LevelFile file = Open("a", 1, 0, 2);
        file.Own().Select(Text).ShouldBe(own.Select(Text));
        file.HandedOverTo(0).Select(Text).ShouldBe([$"3.1 {UInt128.MaxValue}"]);
        file.HandedOverTo(1).ShouldBeEmpty();
        Should.Throw<InvalidDataException>(() => Open("b", 1, 0, 2));
        Should.Throw<InvalidDataException>(() => Open("a", 2, 0, 2));
        Should.Throw<InvalidDataException>(() => Open("a", 1, 1, 2));
        Should.Throw<InvalidDataException>(() => Open("a", 1, 0, 3));
        stream.SetLength(stream.Length - 1);
        Should.Throw<InvalidDataException>(() => Open("a", 1, 0, 2)).Message.ShouldBe("it is not whole");

        // A count that no file can have.
        stream.SetLength(stream.Length + 1);
        stream.Position = 59;
        stream.WriteByte(0x7F);
        Should.Throw<InvalidDataException>(() => Open("a", 1, 0, 2)).Message.ShouldBe("it is not whole");
        stream.Position = 59;
        stream.WriteByte(0xFF);
        Should.Throw<InvalidDataException>(() => Open("a", 1, 0, 2)).Message.ShouldBe("its head is damaged");

        LevelFile Open(string search, int level, int index, int count)
        {
            stream.Position = 0;
            return LevelFile.Open(stream, search, level, index, count);
        }
    }

    /// <summary>A program has a byte for each step.</summary>
    [Fact]
    public void Bounds_with_more_different_steps_than_a_byte_has_are_refused() =>
        Should.Throw<ArgumentOutOfRangeException>(() => new StateExpansion(
            Subject.Engine, MaintenancePolicy.Fate, new ExhaustiveBounds(4, 3, 4, 2, SplitsFaults: true)));

    private static ExhaustiveCoverage Compare(Subject subject, MaintenancePolicy policy, ExhaustiveBounds bounds)
    {
        ExhaustiveCoverage alone = new ExhaustiveSearch(subject, policy, bounds).Run(2, CancellationToken.None);
        foreach (int count in (int[])[1, 2, 3, 8])
        {
            (long[] byDepth, long transitions, List<ExhaustiveFinding> found) = Share(subject, policy, bounds, count);
            byDepth.ShouldBe(alone.StatesByDepth, $"{count} shards");
            transitions.ShouldBe(alone.Transitions);
            found.Select(Text).ShouldBe(alone.Findings.Select(Text));
        }

        return alone;
    }

    /// <summary>Shards one after the other, with bytes between the levels.</summary>
    private static (long[] ByDepth, long Transitions, List<ExhaustiveFinding> Found) Share(
        Subject subject, MaintenancePolicy policy, ExhaustiveBounds bounds, int count)
    {
        var seen = new HashSet<UInt128>[count];
        var found = new List<ExhaustiveFinding>();
        var byDepth = new List<long>();
        byte[][] before = [];
        long transitions = 0;
        for (int depth = 0; depth <= bounds.Steps && (depth == 0 || byDepth[^1] != 0); depth++)
        {
            byte[][] after = new byte[count][];
            byDepth.Add(0);
            for (int index = 0; index < count; index++)
            {
                var expansion = new StateExpansion(subject, policy, bounds);
                var shard = new ExhaustiveShard(index, count);
                IReadOnlyList<ReachedState> own = depth == 0
                    ? shard.Begin(expansion)
                    : ExhaustiveShard.Accept(
                        Enumerable.Range(0, count).Select(from =>
                            Open(before[from], depth - 1, from, count).HandedOverTo(index)),
                        seen[index]);
                (seen[index] ??= []).UnionWith(own.Select(state => state.Hash).OfType<UInt128>());
                byDepth[^1] += own.Count;
                using var stream = new MemoryStream();
                LevelFile.Write(
                    stream, "search", depth, index, own,
                    shard.Expand(expansion, depth < bounds.Steps ? own : [], 2, CancellationToken.None)!);
                after[index] = stream.ToArray();
                transitions += expansion.Transitions;
                found.AddRange(expansion.Findings());
            }

            before = after;
        }

        found.Sort((one, other) => StateExpansion.Compare([.. one.Program], [.. other.Program]));
        return (
            [.. byDepth], transitions,
            [.. found.DistinctBy(finding => (finding.Violation.Kind, finding.Violation.Consumer))]);
    }

    private static LevelFile Open(byte[] bytes, int level, int index, int count) =>
        LevelFile.Open(new MemoryStream(bytes), "search", level, index, count);

    private static ExhaustiveBounds Bounds(string which, int steps)
    {
        var bounds = new ExhaustiveBounds(1, 1, 1, steps);
        foreach (string[] pair in which.Split(',').Select(item => item.Split('=')))
        {
            int value = pair[1][0] - '0';
            bounds = pair[0] switch
            {
                "pes" => bounds with { Pes = value },
                "vms" => bounds with { Vms = value },
                "pages" => bounds with { Pages = value },
                "forks" => bounds with { Forks = true },
                _ => bounds with { SplitsFaults = true },
            };
        }

        return bounds;
    }

    private static string Text(ReachedState state) => $"{string.Join('.', state.Steps)} {state.Hash}";

    private static string Text(ExhaustiveFinding finding) =>
        $"{string.Join('.', finding.Program)}: {string.Join("; ", finding.Steps)}: {finding.Violation}";
}
