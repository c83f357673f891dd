using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>Makes rows of deaths of what the probe prints.</summary>
/// <param name="what">Which VM.</param>
/// <param name="told">Is told of each row as it comes.</param>
internal sealed class KvmProbeReader(KvmCase what, Action<KvmRow>? told = null) : KvmProbeLines(what.ToString())
{
    /// <summary>
    /// The least part of what was written that must be free afterwards. The kernel keeps up to some megabytes of freed
    /// pages on lists of its processors, which it does not count as free.
    /// </summary>
    private const double LeastFreed = 0.9;

    /// <summary>All that it has to report.</summary>
    public static readonly KvmWay[] Ways = Enum.GetValues<KvmWay>();

    private readonly List<KvmRow> _rows = [];

    public IReadOnlyList<KvmRow> Rows => _rows;

    public override int Count => _rows.Count;

    public override int Expected => Ways.Length;

    protected override string RowVerb => "row";

    /// <summary>Whether the host's pages are freed on that way, too.</summary>
    internal static bool FreesPages(KvmWay way) => way is not (KvmWay.Close or KvmWay.SlotRemoval);

    protected override void TakeRow(KeyValueLine line)
    {
        string? name = line.Value(DeathFields.Way);
        KvmWay way = Array.Find(Ways, known => known.Name() == name);
        if (way.Name() != name || _rows.Exists(row => row.Way == way))
        {
            throw Nonsense(line.Text);
        }

        var row = new KvmRow
        {
            Case = what,
            Way = way,
            MappedPages4K = Number(line, DeathFields.MappedPages4K),
            MappedBlocks2M = Number(line, DeathFields.MappedBlocks2M),
            Instructions = Number(line, DeathFields.Instructions),
            VirtualNanoseconds = Number(line, DeathFields.VirtualNanoseconds),
            FreedBytes = Number(line, DeathFields.FreedBytes),
        };
        long most = what.FillBytes / 4096;
        if (row.MappedPages4K > most || row.MappedBlocks2M > most || row.Entries == 0 || row.Instructions == 0)
        {
            throw Nonsense(line.Text);
        }

        if (FreesPages(way) && row.FreedBytes < LeastFreed * what.FillBytes)
        {
            throw new CliException(
                ExitCode.Failed,
                $"{what} {way.Name()}: only {row.FreedBytes} of {what.FillBytes} bytes were free again at its end",
                "the figure would be no death's; please report it",
                Console);
        }

        _rows.Add(row);
        told?.Invoke(row);
    }

    protected override IReadOnlyList<string> Missing() =>
        [.. Ways.Except(_rows.Select(row => row.Way)).Select(way => way.Name())];
}
