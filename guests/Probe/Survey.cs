using System;
using Quietus.Probe.Linux;
using Quietus.Probe.Output;
using Quietus.Probe.Runs;
using Quietus.Wire;

namespace Quietus.Probe;

/// <summary>Goes through pages, sizes and ways, and leaves nothing out without saying why.</summary>
internal static class Survey
{
    private const ulong LeastLeft = 32UL << 20;

    /// <summary>Fills in what was not given, and refuses what would take more than half of the free memory.</summary>
    internal static void Settle(ref Options options)
    {
        bool given = options.SizeCount != 0;
        ulong available = HostMemory.Available();
        if (available == 0)
        {
            Problem.NotHere("how much memory is free cannot be read (/proc/meminfo), or none is"u8, 0);
        }

        ulong most = options.OverHalf ? (available > LeastLeft ? available - LeastLeft : 0) : available / 2;
        if (!given)
        {
            ulong size = 64UL << 20;
            for (int i = 0; i < 3 && size <= most; i++, size *= 4)
            {
                options.SetSize(options.SizeCount++, size);
            }
        }

        if (options.SizeCount == 0)
        {
            Problem.NotHere("too little memory is free: not even twice 64 MB"u8, 0);
        }

        for (int i = 0; i < options.SizeCount; i++)
        {
            if (options.Size(i) > most)
            {
                Refuse(options.Size(i), options.OverHalf);
            }
        }

        if (options.Pages == 0)
        {
            Span<byte> text = stackalloc byte[128];
            ReadOnlySpan<byte> enabled = TextFile.Read("/sys/kernel/mm/transparent_hugepage/enabled"u8, text);
            options.Pages = 1;
            options.Pages |= enabled.Length != 0 && !TextFile.HasWord(enabled, "[never]"u8) ? 2U : 0;
            options.Pages |= HostMemory.PoolFree(PageKind.Huge2M) != 0 ? 4U : 0;
            options.Pages |= HostMemory.PoolFree(PageKind.Huge1G) != 0 ? 8U : 0;
        }
    }

    private static void Refuse(ulong bytes, bool isAll)
    {
        Span<byte> buffer = stackalloc byte[Units.Most];
        var line = new LineBuilder(buffer);
        Units.Size(ref line, bytes);
        Problem.BadUsage(
            isAll
                ? "more memory than is free"u8
                : "more than half of the free memory; less --memory, or --over-half to take it all the same"u8,
            line.Written);
    }

    internal static void Run(in Options options, bool tellsTable)
    {
        for (int kind = 0; kind < PageKinds.Count; kind++)
        {
            if ((options.Pages >> kind & 1) == 0)
            {
                continue;
            }

            ulong largest = 0;
            for (int i = 0; i < options.SizeCount; i++)
            {
                var pages = (PageKind)kind;
                ulong bytes = options.Size(i);
                if (!Fits(pages, bytes))
                {
                    continue;
                }

                largest = bytes > largest ? bytes : largest;
                int first = Samples.Count;
                RunBlock(options, pages, bytes);
                if (tellsTable)
                {
                    Table.Block(first, Samples.Count);
                }
            }

            if (largest != 0 && !options.Alone)
            {
                RunExtras(options, (PageKind)kind, largest);
            }
        }

        if (tellsTable)
        {
            Table.Neighbours();
        }
    }

    /// <summary>Whether a pool has the pages, and the size is of whole ones.</summary>
    private static bool Fits(PageKind pages, ulong bytes)
    {
        ulong page = PageKinds.PoolPage(pages);
        if (page == 0 || (bytes % page == 0 && HostMemory.PoolFree(pages) >= bytes / page))
        {
            return true;
        }

        Span<byte> buffer = stackalloc byte[160];
        var line = new LineBuilder(buffer);
        line.Text("left out: "u8);
        Units.Size(ref line, bytes);
        line.Text(" by "u8);
        line.Text(PageKinds.NameOf(pages));
        line.Text(bytes % page != 0 ? ": not whole pages"u8 : ": the pool has only "u8);
        if (bytes % page == 0)
        {
            line.Number(HostMemory.PoolFree(pages));
            line.Text(" pages free (vm.nr_hugepages)"u8);
        }

        Problem.Say(line.Written);
        Warnings.AddLeftOut();
        return false;
    }

    private static void RunBlock(in Options options, PageKind pages, ulong bytes)
    {
        for (int way = 0; way < Ways.Count; way++)
        {
            if (!IsWanted(options, (Way)way))
            {
                continue;
            }

            var plan = new LifePlan
            {
                Way = (Way)way, Pages = pages, Bytes = bytes, Processor = Processors.First,
                CountsProcessor = options.CountsProcessor,
            };
            Tell(options, plan);
            int row = Samples.AddRow(new RowKey { Pages = pages, Bytes = bytes, Way = plan.Way });

            // The first life is for the caches and allocators, and not told.
            for (int run = -1; run < options.Runs; run++)
            {
                Place place = Children.Run(plan);
                for (int figure = 0; run >= 0 && figure < Figures.Count; figure++)
                {
                    Samples.Set(row, (Figure)figure, run, place[(Figure)figure]);
                }

                Samples.Key(row).TransparentBytes = place.TransparentBytes;
            }
        }
    }

    /// <summary>Ways without a VM come with the way that they are to be set beside.</summary>
    private static bool IsWanted(in Options options, Way way) => way switch
    {
        Way.MunmapNoVm => (options.Ways >> (int)Way.Munmap & 1) != 0,
        Way.KillNoVm => (options.Ways >> (int)Way.Kill & 1) != 0,
        _ => (options.Ways >> (int)way & 1) != 0,
    };

    private static void RunExtras(in Options options, PageKind pages, ulong bytes)
    {
        var plan = new LifePlan
        {
            Pages = pages, Bytes = bytes, Processor = Processors.First, CountsProcessor = options.CountsProcessor,
        };
        for (int way = 0; way <= (int)Way.Punch && Processors.Count > 1; way++)
        {
            plan.Way = (Way)way;
            if (!IsWanted(options, plan.Way) || plan.Way == Way.Kill)
            {
                continue;
            }

            Tell(options, plan);
            Extras.RunBeside(plan, options.Runs);
        }

        if (!IsWanted(options, Way.Kill))
        {
            return;
        }

        plan.Way = Way.Kill;
        Tell(options, plan);
        Extras.RunTogether(plan, 1, options.Runs);
        for (int vms = 2; vms <= 4 && vms <= Processors.Count; vms += 2)
        {
            Extras.RunTogether(plan, vms, options.Runs);
        }

        if (Processors.Count is > 2 and not 4)
        {
            Extras.RunTogether(
                plan, Processors.Count > Board.MostChildren ? Board.MostChildren : Processors.Count, options.Runs);
        }
    }

    private static void Tell(in Options options, in LifePlan plan)
    {
        if (options.IsQuiet)
        {
            return;
        }

        Span<byte> buffer = stackalloc byte[128];
        var line = new LineBuilder(buffer);
        Units.Size(ref line, plan.Bytes);
        line.Text(" by "u8);
        line.Text(PageKinds.NameOf(plan.Pages));
        line.Text(": "u8);
        line.Text(Ways.NameOf(plan.Way));
        Problem.Say(line.Written);
    }
}
