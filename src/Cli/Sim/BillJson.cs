using System.Text.Json;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>What was issued and what it cost, under the same keys in every document.</summary>
internal static class BillJson
{
    public static void WriteTimes(Utf8JsonWriter json, TimeShares time)
    {
        Write("cmo_ns", time.CachePicoseconds);
        Write("tlbi_ns", time.TlbiPicoseconds);
        Write("walk_ns", time.WalkPicoseconds);
        Write("free_ns", time.TableFreePicoseconds);
        Write("other_ns", time.OtherPicoseconds);

        void Write(string name, long picoseconds) => ResultJson.WriteNanoseconds(json, name, picoseconds / 1000.0);
    }

    public static void WriteCounts(Utf8JsonWriter json, OperationCounts counts)
    {
        json.WriteNumber("tlbi_ipa", counts.TlbiIpa);
        json.WriteNumber("tlbi_range", counts.TlbiRange);
        json.WriteNumber("tlbi_vmid", counts.TlbiVmid);
        json.WriteNumber("tlbi_vmalle1", counts.TlbiVmalle1);
        json.WriteNumber("dc_lines", counts.DcLines);
        json.WriteNumber("dsb", counts.Dsb);
    }
}
