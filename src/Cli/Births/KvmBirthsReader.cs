using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Bench.Kvm;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Wire;

namespace Quietus.Cli.Births;

/// <summary>Makes rows of births of what the probe prints.</summary>
/// <param name="what">Which snapshot.</param>
/// <param name="told">Is told of each row as it comes.</param>
internal sealed class KvmBirthsReader(KvmBirthsCase what, Action<KvmBirthsRow>? told = null)
    : KvmProbeLines(what.ToString())
{
    /// <summary>All that it has to report.</summary>
    public static readonly KvmBirthWay[] Ways = Enum.GetValues<KvmBirthWay>();

    private readonly List<KvmBirthsRow> _rows = [];

    public IReadOnlyList<KvmBirthsRow> Rows => _rows;

    public override int Count => _rows.Count;

    public override int Expected => Ways.Length;

    protected override string RowVerb => "birth";

    protected override void TakeRow(KeyValueLine line)
    {
        string? name = line.Value(DeathFields.Way);
        KvmBirthWay way = Array.Find(Ways, known => known.Name() == name);
        long pages = Number(line, "pages"u8);
        bool touches = way is not (KvmBirthWay.Birth or KvmBirthWay.BirthWhole or KvmBirthWay.ServedBirth);
        var row = new KvmBirthsRow(
            what, way, pages, Number(line, DeathFields.Instructions), Number(line, DeathFields.VirtualNanoseconds));
        if (way.Name() != name || _rows.Exists(known => known.Way == way) || row.Instructions == 0
            || touches != (pages > 0) || pages > what.MemoryBytes / 4096)
        {
            throw Nonsense(line.Text);
        }

        _rows.Add(row);
        told?.Invoke(row);
    }

    protected override IReadOnlyList<string> Missing() =>
        [.. Ways.Except(_rows.Select(row => row.Way)).Select(way => way.Name())];
}
