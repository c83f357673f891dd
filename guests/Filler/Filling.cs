using System;
using System.Threading;
using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>Makes memory dirty, and looks first whether it was clean: alone, or each core its share.</summary>
internal static class Filling
{
    private static ulong _pages;
    private static bool _onlyOneWord;
    private static bool _checkZero;
    private static int _sharers;
    private static int _finished;
    private static ulong _notZero;

    /// <summary>Bytes that are filled.</summary>
    internal static ulong FilledBytes => _pages << FreeMemory.PageShift;

    /// <summary>Fills as the command line says. False, with a report, when a page was not clean.</summary>
    internal static bool Run(Options options)
    {
        ulong wanted = options.FillBytes >> FreeMemory.PageShift;
        if (options.FillBytes == Options.Everything)
        {
            wanted = FreeMemory.Pages;
        }

        if (wanted > FreeMemory.Pages)
        {
            Terminal.Begin();
            Terminal.Text("fill does not fit: there are "u8);
            Terminal.Decimal(FreeMemory.Pages << FreeMemory.PageShift);
            Terminal.Text(" bytes free"u8);
            Terminal.EndLine();
            Report.TestFailed(wanted);
            return false;
        }

        _pages = wanted;
        _onlyOneWord = options.TouchPages;
        _checkZero = options.CheckZero;
        _sharers = options.AllCpus ? Board.CpuCount : 1;
        if (options.AllCpus && !Cpus.StartAll(CpuJob.Fill))
        {
            Terminal.Line("a core did not start"u8);
            Report.TestFailed(0);
            return false;
        }

        Share(Board.CurrentCpu());
        while (Volatile.Read(ref _finished) != _sharers)
        {
            Instructions.Yield();
        }

        if (_notZero != 0)
        {
            Terminal.Begin();
            Terminal.Text("not zero before it was ever written: page "u8);
            Terminal.Hexadecimal(_notZero);
            Terminal.EndLine();
            Report.TestFailed(_notZero);
            return false;
        }

        return true;
    }

    /// <summary>Reports what was filled, if anything was.</summary>
    internal static void ReportDirtied()
    {
        if (_pages != 0)
        {
            Report.Dirtied(_pages << FreeMemory.PageShift);
        }
    }

    /// <summary>Looks at all free pages that were not filled. The first that is not all zero, or 0.</summary>
    internal static ulong FindNotZero()
    {
        for (ulong number = _pages; number < FreeMemory.Pages; number++)
        {
            ulong page = FreeMemory.Find(number, out _);
            if (Instructions.PageOr(page) != 0)
            {
                return page;
            }
        }

        return 0;
    }

    /// <summary>A core's share of the pages.</summary>
    internal static void Share(int cpu)
    {
        ulong number = First(cpu);
        ulong end = First(cpu + 1);
        while (number < end)
        {
            ulong page = FreeMemory.Find(number, out ulong run);
            for (; run != 0 && number < end; run--, number++, page -= FreeMemory.PageBytes)
            {
                Fill(page);
            }
        }

        Interlocked.Increment(ref _finished);
    }

    /// <summary>Touches a core's share, of one page at least, again and again, and never returns.</summary>
    internal static void Spin(int cpu)
    {
        ulong number = First(cpu);
        ulong end = Math.Max(First(cpu + 1), number + 1);
        while (true)
        {
            for (ulong n = number; n < end; n++)
            {
                ulong page = FreeMemory.Find(n, out _);
                Instructions.Store64(page, Instructions.Load64(page) + 2);
            }
        }
    }

    /// <summary>Reads a core's share; the first page that is not as it was filled, or 0.</summary>
    internal static ulong FindChanged(int cpu)
    {
        const ulong LineBytes = 64;
        ulong end = First(cpu + 1);
        for (ulong number = First(cpu); number < end; number++)
        {
            ulong page = FreeMemory.Find(number, out _);
            for (ulong at = 0; at < (_onlyOneWord ? LineBytes : FreeMemory.PageBytes); at += LineBytes)
            {
                if (Instructions.Load64(page + at) != (page | 1))
                {
                    return page;
                }
            }
        }

        return 0;
    }

    /// <summary>Reads a word of each page that was filled; how many there are.</summary>
    internal static ulong TouchAll()
    {
        for (ulong number = 0; number < _pages; number++)
        {
            _ = Instructions.Load64(FreeMemory.Find(number, out _));
        }

        return _pages;
    }

    /// <summary>
    /// Writes to every other page of those that were filled, and reads all. The first that is not as it should be, or
    /// 0. The boot core has filled all of them.
    /// </summary>
    internal static ulong ChangeEveryOther()
    {
        const ulong Changed = 0x5A00_0000_0000_0001;
        for (ulong number = 0; number < _pages; number += 2)
        {
            ulong page = FreeMemory.Find(number, out _);
            Instructions.Store64(page, page | Changed);
        }

        for (ulong number = 0; number < _pages; number++)
        {
            ulong page = FreeMemory.Find(number, out _);
            if (Instructions.Load64(page) != (page | (number % 2 == 0 ? Changed : 1)))
            {
                return page;
            }
        }

        return 0;
    }

    private static ulong First(int cpu) => _sharers == 0 ? 0 : _pages * (ulong)cpu / (ulong)_sharers;

    /// <summary>Every value is odd, so that no line stays zero, and its page's own.</summary>
    private static void Fill(ulong page)
    {
        if (_checkZero && Instructions.PageOr(page) != 0)
        {
            _notZero = page;
        }

        if (_onlyOneWord)
        {
            Instructions.Store64(page, page | 1);
        }
        else
        {
            Instructions.PageSetLines(page, page | 1);
        }
    }
}
