using System;
using Quietus.Probe.Linux;
using Quietus.Probe.Runs;
using Quietus.Wire;

namespace Quietus.Probe.Output;

/// <summary>The result for people: a block for each size of pages and of memory.</summary>
internal static class Table
{
    private const int Name = 12;
    private const int Width = 9;
    private const int Wide = 12;
    private const int Narrow = 5;
    private const ulong LeastRounds = 20;

    /// <summary>One block: the rows from the first on that have its pages and size.</summary>
    internal static void Block(int first, int end)
    {
        Title(first);
        Birth(first);
        Sink.Cell("way"u8, Name, isLeft: true);
        Head("order"u8);
        Head("close"u8);
        Head("unmap"u8);
        Head("exit"u8);
        Head("whole"u8);
        Head("free"u8);
        Head("a page"u8);
        Sink.Cell("+-"u8, Narrow, isLeft: false);
        Sink.Text("\n"u8);
        for (int row = first; row < end; row++)
        {
            Sink.Cell(Ways.NameOf(Samples.Key(row).Way), Name, isLeft: true);
            Cell(Samples.Median(row, Figure.Order));
            Cell(Samples.Median(row, Figure.Close));
            Cell(Samples.Median(row, Figure.Unmap));
            Cell(Samples.Median(row, Figure.Exit));
            ulong total = Samples.Median(row, Figure.Total);
            Cell(total);
            Cell(Samples.Median(row, Figure.Free));
            Cell(total / Pages(row));
            Percent(Samples.Spread(row, Figure.Total), Narrow);
            Sink.Text("\n"u8);
        }

        Sink.Text("\n"u8);
        Sink.Flush();
    }

    /// <summary>The neighbour's loss by a death, and deaths together.</summary>
    internal static void Neighbours()
    {
        if (Extras.NeighbourCount != 0)
        {
            Sink.Text("while a VM dies, another one that writes its own 2 MB for ever\n"u8);
            Sink.Cell("way"u8, Name, isLeft: true);
            Sink.Cell("pages"u8, Width, isLeft: false);
            Sink.Cell("work left"u8, Wide, isLeft: false);
            Sink.Cell("longest"u8, Wide, isLeft: false);
            Sink.Cell("when quiet"u8, Wide, isLeft: false);
            Sink.Text("\n"u8);
        }

        for (int i = 0; i < Extras.NeighbourCount; i++)
        {
            Neighbour it = Extras.NeighbourAt(i);
            Sink.Cell(Ways.NameOf(it.Way), Name, isLeft: true);
            Sink.Cell(PageKinds.NameOf(it.Pages), Width, isLeft: false);
            if (it.QuietRate * it.Order / 1_000_000_000 < LeastRounds)
            {
                // The order is too short to say anything of the neighbour's work.
                Sink.Cell("-"u8, Wide, isLeft: false);
            }
            else
            {
                Percent(it.Rate * 1000 / it.QuietRate, Wide);
            }

            Cell(it.Longest, Wide);
            Cell(it.QuietLongest, Wide);
            Sink.Text("\n"u8);
        }

        if (Extras.TogetherCount != 0)
        {
            Sink.Text("\nas much memory in one VM and in several, all killed at once\n"u8);
        }

        for (int i = 0; i < Extras.TogetherCount; i++)
        {
            OneTogether(Extras.TogetherAt(i));
        }

        Sink.Text("\n"u8);
    }

    private static void OneTogether(in Together it)
    {
        Sink.Cell(PageKinds.NameOf(it.Pages), Name, isLeft: true);
        Span<byte> buffer = stackalloc byte[Units.Most];
        var line = new LineBuilder(buffer);
        line.Number((ulong)it.Vms);
        line.Text(it.Vms == 1 ? " VM"u8 : " VMs"u8);
        Sink.Cell(line.Written, Width, isLeft: false);
        Cell(it.Nanoseconds);
        Sink.Text("\n"u8);
    }

    private static void Title(int row)
    {
        Span<byte> buffer = stackalloc byte[128];
        var line = new LineBuilder(buffer);
        RowKey key = Samples.Key(row);
        Units.Size(ref line, key.Bytes);
        line.Text(" by "u8);
        line.Text(PageKinds.NameOf(key.Pages));
        if (key.Pages == PageKind.Transparent)
        {
            line.Text(", of which in blocks "u8);
            Units.Size(ref line, key.TransparentBytes);
        }

        line.Text(": medians of "u8);
        line.Number((ulong)Samples.Runs);
        line.Character((byte)'\n');
        Sink.Text(line.Written);
    }

    private static void Birth(int row)
    {
        if (!Ways.HasVm(Samples.Key(row).Way))
        {
            return;
        }

        Span<byte> buffer = stackalloc byte[256];
        var line = new LineBuilder(buffer);
        line.Text("born: VM "u8);
        Units.Duration(ref line, Samples.Median(row, Figure.CreateVm));
        line.Text(", slot "u8);
        Units.Duration(ref line, Samples.Median(row, Figure.AddSlot));
        line.Text(", vCPU "u8);
        Units.Duration(ref line, Samples.Median(row, Figure.CreateVcpu));
        line.Text(" and "u8);
        Units.Duration(ref line, Samples.Median(row, Figure.Prepare));
        line.Text("\n      first instruction "u8);
        Units.Duration(ref line, Samples.Median(row, Figure.FirstInstruction));
        line.Text("; touched: "u8);
        Units.Duration(ref line, Samples.Median(row, Figure.Touch) / Pages(row));
        line.Text(" a page, again "u8);
        Units.Duration(ref line, Samples.Median(row, Figure.TouchAgain) / Pages(row));
        line.Character((byte)'\n');
        Sink.Text(line.Written);
    }

    /// <summary>Pages of the size that the memory is asked for in.</summary>
    private static ulong Pages(int row)
    {
        RowKey key = Samples.Key(row);
        return key.Pages switch
        {
            PageKind.Small => key.Bytes / Area.PageBytes,
            PageKind.Huge1G => key.Bytes >> 30,
            _ => key.Bytes / Area.BlockBytes,
        };
    }

    private static void Head(ReadOnlySpan<byte> text) => Sink.Cell(text, Width, isLeft: false);

    private static void Cell(ulong nanoseconds, int width = Width)
    {
        Span<byte> buffer = stackalloc byte[Units.Most];
        var line = new LineBuilder(buffer);
        Units.Duration(ref line, nanoseconds);
        Sink.Cell(line.Written, width, isLeft: false);
    }

    private static void Percent(ulong thousandths, int width)
    {
        Span<byte> buffer = stackalloc byte[Units.Most];
        var line = new LineBuilder(buffer);
        line.Number((thousandths + 5) / 10);
        line.Text("%"u8);
        Sink.Cell(line.Written, width, isLeft: false);
    }
}
