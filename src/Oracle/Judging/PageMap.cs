using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;

namespace Quietus.Oracle.Judging;

/// <summary>
/// What the models share of memory: which addresses are memory, the number of each page, and who maps it. Invariant: a
/// page's <see cref="PageUse.Mappings"/> are the leaves that lead to it in tables that some VM's root leads to.
/// </summary>
internal sealed class PageMap(int granuleShift)
{
    private readonly List<Area> _areas = [];
    private PageUse[] _uses = [];

    /// <summary>Where the last address was: the next one is mostly there, too.</summary>
    private Area _last;

    public int GranuleShift => granuleShift;

    public int BitsPerLevel => granuleShift - 3;

    /// <summary>Pages so far.</summary>
    public int Count { get; private set; }

    public IReadOnlyList<Area> Areas => _areas;

    /// <summary>An area of memory.</summary>
    public readonly record struct Area(ulong Start, ulong End, int First, bool IsPool);

    public static int LevelShift(int granuleShift, int level) => granuleShift + ((3 - level) * (granuleShift - 3));

    public int LevelShift(int level) => LevelShift(granuleShift, level);

    /// <summary>Takes over what an earlier judge of this thread left: arrays of pages are large.</summary>
    public void Reuse(PageUse[] left) => _uses = left;

    public PageUse[] Leave() => _uses;

    /// <summary>Adds memory; the number of its first page.</summary>
    public int Add(ulong start, ulong bytes, bool isPool)
    {
        int first = Count;
        Count += PagesIn(bytes);
        _areas.Add(new Area(start, start + bytes, first, isPool));
        if (Count > _uses.Length)
        {
            Array.Resize(ref _uses, Count);
        }

        Array.Clear(_uses, first, Count - first);
        return first;
    }

    /// <summary>The number of the page at an address; -1 where there is no memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Of(ulong address) => address - _last.Start < _last.End - _last.Start
        ? _last.First + (int)((address - _last.Start) >> granuleShift)
        : Find(address);

    public ulong AddressOf(int page)
    {
        Area area = page - _last.First is int at && at >= 0 && (ulong)(uint)at << granuleShift < _last.End - _last.Start
            ? _last
            : AreaOf(page);
        return area.Start + ((ulong)(uint)(page - area.First) << granuleShift);
    }

    public ref PageUse Use(int page) => ref _uses[page];

    /// <summary>The uses of pages from one on.</summary>
    public Span<PageUse> Uses(int page, int count) => _uses.AsSpan(page, count);

    /// <summary>How many of an area's pages are memory: a descriptor may lead past the end.</summary>
    public int PagesWithin(ulong start, ulong bytes, out bool isPool)
    {
        isPool = _last.IsPool;
        return Of(start) < 0 ? 0 : Within(start, bytes, out isPool);
    }

    public int PagesIn(ulong bytes) => (int)(bytes >> granuleShift);

    private int Within(ulong start, ulong bytes, out bool isPool)
    {
        isPool = _last.IsPool;
        return PagesIn(Math.Min(bytes, _last.End - start));
    }

    private Area AreaOf(int page) => _areas.FindLast(area => area.First <= page);

    private int Find(ulong address)
    {
        foreach (Area area in _areas)
        {
            if (address - area.Start < area.End - area.Start)
            {
                _last = area;
                return area.First + (int)((address - area.Start) >> granuleShift);
            }
        }

        return -1;
    }
}

/// <summary>Who maps a page, and who may.</summary>
internal struct PageUse
{
    /// <summary>Leaves that map it.</summary>
    public ushort Mappings;

    /// <summary>Whose the page is: a party's number.</summary>
    public ushort Owner;

    /// <summary>The call that touched it last.</summary>
    public int Call;

    /// <summary>
    /// The hypervisor's PE that wrote it last, and one more; 0 where that is not known, or known to be visible.
    /// </summary>
    public byte WriterPe;

    /// <summary>Declared shared: any VM may map it, and none may write it.</summary>
    public bool IsShared;

    /// <summary>A leaf that let guests fetch from it was there when <see cref="Call"/> first touched it.</summary>
    public bool WasExecutable;
}
