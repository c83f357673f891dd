using System.Buffers.Binary;
using System.Collections.Generic;
using Quietus.Stage2;

namespace Quietus.Architectures;

/// <summary>
/// The memory that tables lie in, as the machine's walker sees it: eight bytes an entry, in the architecture's order.
/// </summary>
/// <param name="start">Where they begin, above all memory of the host.</param>
/// <param name="isBigEndian">Entries are stored most significant byte first.</param>
internal sealed class TablePages(ulong start, bool isBigEndian)
{
    internal const ulong PageBytes = 4096;
    private const int EntriesPerPage = 512;

    private readonly List<ulong[]?> _pages = [];
    private readonly List<int[]?> _seen = [];
    private readonly Stack<int> _free = new();
    private int _call;

    /// <summary>Pages that are taken.</summary>
    internal long Count { get; private set; }

    /// <summary>Whether an address lies in a table.</summary>
    internal bool Contains(ulong address) =>
        address >= start && address < start + ((ulong)_pages.Count * PageBytes);

    /// <summary>Whether an entry is looked at for the first time since <see cref="Forget"/>.</summary>
    internal bool IsFirstLook(ulong address)
    {
        ref int seen = ref (_seen[Index(address)] ??= new int[EntriesPerPage])[Within(address)];
        bool first = seen != _call;
        seen = _call;
        return first;
    }

    /// <summary>Another call begins: entries are new again.</summary>
    internal void Forget() => _call++;

    /// <summary>Zeroed pages, contiguous, aligned to 4 KB, or to all of them where there are several.</summary>
    internal ulong Take(int pages = 1)
    {
        Count += pages;
        if (pages == 1 && _free.TryPop(out int again))
        {
            _pages[again] = new ulong[EntriesPerPage];
            _seen[again] = null;
            return start + ((ulong)again * PageBytes);
        }

        while (_pages.Count % pages != 0)
        {
            _free.Push(_pages.Count);
            _pages.Add(null);
            _seen.Add(null);
        }

        ulong first = start + ((ulong)_pages.Count * PageBytes);
        for (int page = 0; page < pages; page++)
        {
            _pages.Add(new ulong[EntriesPerPage]);
            _seen.Add(null);
        }

        return first;
    }

    internal void Return(ulong address, int pages = 1)
    {
        for (int page = 0; page < pages; page++)
        {
            int index = Index(address) + page;
            _pages[index] = null;
            _seen[index] = null;
            _free.Push(index);
        }

        Count -= pages;
    }

    /// <summary>All of them, at once.</summary>
    internal void ReturnAll()
    {
        _pages.Clear();
        _seen.Clear();
        _free.Clear();
        Count = 0;
    }

    /// <summary>An entry's value. A page that was returned throws: nothing may lead there.</summary>
    internal ulong this[ulong address]
    {
        get => InOrder(_pages[Index(address)]![Within(address)]);
        set => _pages[Index(address)]![Within(address)] = InOrder(value);
    }

    /// <summary>The eight bytes as they lie in memory, the first one lowest.</summary>
    internal ulong Raw(ulong address) => _pages[Index(address)]![Within(address)];

    internal void Copy(Pa target, Pa source) =>
        _pages[Index(source.Value)]!.CopyTo(_pages[Index(target.Value)]!, 0);

    private ulong InOrder(ulong word) => isBigEndian ? BinaryPrimitives.ReverseEndianness(word) : word;

    private int Index(ulong address) => (int)((address - start) / PageBytes);

    private static int Within(ulong address) => (int)(address % PageBytes) / sizeof(ulong);
}
