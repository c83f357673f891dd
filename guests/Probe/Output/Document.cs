using System;
using Quietus.Probe.Linux;
using Quietus.Probe.Runs;

namespace Quietus.Probe.Output;

/// <summary>The result for programs: quietus.probe/1, of docs/probe.md.</summary>
internal static class Document
{
    internal static void Write(in Options options)
    {
        Sink.Text("{\n  \"schema\": \"quietus.probe/1\",\n  \"version\": \"0.1.0\",\n  \"config\": {\"repeat\": "u8);
        Sink.Number((ulong)options.Runs);
        Sink.Text(", \"memory_bytes\": ["u8);
        for (int i = 0; i < options.SizeCount; i++)
        {
            Sink.Text(i == 0 ? ""u8 : ", "u8);
            Sink.Number(options.Size(i));
        }

        Sink.Text("], \"pages\": ["u8);
        bool isFirst = true;
        for (int i = 0; i < PageKinds.Count; i++)
        {
            Item(options.Pages, i, PageKinds.NameOf((PageKind)i), ref isFirst);
        }

        Sink.Text("], \"ways\": ["u8);
        isFirst = true;
        for (int i = 0; i <= (int)Way.Punch; i++)
        {
            Item(options.Ways, i, Ways.NameOf((Way)i), ref isFirst);
        }

        Sink.Text("], \"counter\": "u8);
        Sink.Quoted(options.CountsProcessor ? "processor"u8 : "process"u8);
        Sink.Text("},\n  \"host\": "u8);
        Facts.Write();
        Sink.Text(",\n  \"rows\": ["u8);
        for (int row = 0; row < Samples.Count; row++)
        {
            Sink.Text(row == 0 ? "\n    "u8 : ",\n    "u8);
            WriteRow(row);
        }

        Sink.Text("],\n  \"neighbours\": ["u8);
        for (int i = 0; i < Extras.NeighbourCount; i++)
        {
            Sink.Text(i == 0 ? "\n    "u8 : ",\n    "u8);
            WriteNeighbour(Extras.NeighbourAt(i));
        }

        Sink.Text("],\n  \"together\": ["u8);
        for (int i = 0; i < Extras.TogetherCount; i++)
        {
            Together it = Extras.TogetherAt(i);
            Sink.Text(i == 0 ? "\n    {"u8 : ",\n    {"u8);
            Key("page_size"u8, isFirst: true);
            Sink.Quoted(PageKinds.NameOf(it.Pages));
            Field("memory_bytes"u8, it.Bytes);
            Field("vms"u8, (ulong)it.Vms);
            Field("total_ns"u8, it.Nanoseconds);
            Sink.Text("}"u8);
        }

        Sink.Text("],\n  \"warnings\": "u8);
        Warnings.Write();
        Sink.Text("\n}\n"u8);
    }

    private static void WriteRow(int row)
    {
        RowKey key = Samples.Key(row);
        Sink.Text("{"u8);
        Key("page_size"u8, isFirst: true);
        Sink.Quoted(PageKinds.NameOf(key.Pages));
        Field("memory_bytes"u8, key.Bytes);
        Key("way"u8, isFirst: false);
        Sink.Quoted(Ways.NameOf(key.Way));
        Field("transparent_bytes"u8, key.TransparentBytes);
        for (int i = 0; i < Figures.Count; i++)
        {
            if (Samples.Has(row, (Figure)i))
            {
                Field(Figures.NameOf((Figure)i), Samples.Median(row, (Figure)i));
            }
        }

        Key("samples"u8, isFirst: false);
        Sink.Text("{"u8);
        bool isFirst = true;
        for (int i = 0; i < Figures.Count; i++)
        {
            if (!Samples.Has(row, (Figure)i))
            {
                continue;
            }

            Key(Figures.NameOf((Figure)i), isFirst);
            isFirst = false;
            Sink.Text("["u8);
            for (int run = 0; run < Samples.Runs; run++)
            {
                Sink.Text(run == 0 ? ""u8 : ", "u8);
                Sink.Number(Samples.Get(row, (Figure)i, run));
            }

            Sink.Text("]"u8);
        }

        Sink.Text("}}"u8);
    }

    private static void WriteNeighbour(in Neighbour it)
    {
        Sink.Text("{"u8);
        Key("page_size"u8, isFirst: true);
        Sink.Quoted(PageKinds.NameOf(it.Pages));
        Field("memory_bytes"u8, it.Bytes);
        Key("way"u8, isFirst: false);
        Sink.Quoted(Ways.NameOf(it.Way));
        Field("quiet_rounds_per_second"u8, it.QuietRate);
        Field("rounds_per_second"u8, it.Rate);
        Field("order_ns"u8, it.Order);
        Field("quiet_longest_ns"u8, it.QuietLongest);
        Field("longest_ns"u8, it.Longest);
        Sink.Text("}"u8);
    }

    private static void Item(uint set, int bit, ReadOnlySpan<byte> name, ref bool isFirst)
    {
        if ((set >> bit & 1) == 0)
        {
            return;
        }

        Sink.Text(isFirst ? ""u8 : ", "u8);
        isFirst = false;
        Sink.Quoted(name);
    }

    private static void Key(ReadOnlySpan<byte> key, bool isFirst)
    {
        Sink.Text(isFirst ? ""u8 : ", "u8);
        Sink.Quoted(key);
        Sink.Text(": "u8);
    }

    private static void Field(ReadOnlySpan<byte> key, ulong value)
    {
        Key(key, isFirst: false);
        Sink.Number(value);
    }
}
