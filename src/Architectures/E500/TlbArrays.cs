using System;
using System.Collections.Generic;

namespace Quietus.Architectures;

/// <summary>Where an entry lies: the array, 0 or 1, and its place there.</summary>
internal readonly record struct TlbPlace(int Array, int Index);

/// <summary>
/// One vCPU's shadow of the TLB: TLB0 with 512 entries of 4K in sets of four, found by address; TLB1 with 64 entries of
/// any size (e500mc Core Reference Manual, chapter 6). And, by guest page, where its entries lie.
/// </summary>
internal sealed class TlbArrays
{
    internal const int Entries0 = 512;
    internal const int Ways0 = 4;
    internal const int Entries1 = 64;

    /// <summary>TSIZE of 4K and of 1M, the largest power of four in a 2 MB page.</summary>
    internal const uint Size4K = 2;

    internal const uint Size1M = 10;

    private const int Sets0 = Entries0 / Ways0;
    private const ulong Page = 4096;

    private readonly TlbEntry[][] _arrays = [new TlbEntry[Entries0], new TlbEntry[Entries1]];
    private readonly Dictionary<ulong, TlbPlace> _byPage = [];
    private readonly int[] _nextWay = new int[Sets0];
    private int _next1;

    /// <summary>Entries of both arrays.</summary>
    internal static int Count => Entries0 + Entries1;

    internal TlbEntry this[TlbPlace place] => _arrays[place.Array][place.Index];

    /// <summary>The entries that are valid, with where they lie.</summary>
    internal IEnumerable<(TlbPlace Place, TlbEntry Entry)> Valid()
    {
        foreach (TlbPlace place in _byPage.Values)
        {
            yield return (place, this[place]);
        }
    }

    /// <summary>Writes an entry (tlbwe): into its set, over the oldest of the set, or into TLB1.</summary>
    internal void Write(TlbEntry entry)
    {
        // One address is never translated by two entries: that is a machine check.
        In(entry.Address, entry.Address + entry.Bytes).ForEach(Invalidate);

        TlbPlace place;
        if (entry.Size == Size4K)
        {
            int set = (int)(entry.Address / Page % Sets0);
            place = new TlbPlace(0, (set * Ways0) + _nextWay[set]);
            _nextWay[set] = (_nextWay[set] + 1) % Ways0;
        }
        else
        {
            place = new TlbPlace(1, _next1);
            _next1 = (_next1 + 1) % Entries1;
        }

        if (this[place].IsValid)
        {
            Invalidate(place);
        }

        _arrays[place.Array][place.Index] = entry;
        _byPage[Key(entry.Address, entry.Size)] = place;
    }

    /// <summary>The entry that translates an address, if there is one (tlbsx).</summary>
    internal TlbPlace? Find(ulong address) =>
        _byPage.TryGetValue(Key(address, Size4K), out TlbPlace place)
        || _byPage.TryGetValue(Key(address, Size1M), out place) ? place : null;

    internal void Invalidate(TlbPlace place)
    {
        TlbEntry entry = this[place];
        _byPage.Remove(Key(entry.Address, entry.Size));
        _arrays[place.Array][place.Index] = entry.Invalidated();
    }

    internal void WriteProtect(TlbPlace place) => _arrays[place.Array][place.Index] = this[place].WithoutWrite();

    /// <summary>Everything of the guest goes (tlbilxlpid).</summary>
    internal void InvalidateAll()
    {
        foreach (TlbEntry[] array in _arrays)
        {
            Array.Clear(array);
        }

        _byPage.Clear();
    }

    /// <summary>The entries for a range, of either size.</summary>
    internal List<TlbPlace> In(ulong start, ulong end)
    {
        List<TlbPlace> found = [];
        if ((end - start) / Page > (ulong)_byPage.Count)
        {
            foreach ((TlbPlace place, TlbEntry entry) in Valid())
            {
                if (entry.Address < end && entry.Address + entry.Bytes > start)
                {
                    found.Add(place);
                }
            }

            return found;
        }

        for (ulong at = start; at < end;)
        {
            TlbPlace? place = Find(at);
            if (place is { } there)
            {
                found.Add(there);
                at = this[there].Address + this[there].Bytes;
            }
            else
            {
                at += Page;
            }
        }

        return found;
    }

    private static ulong Key(ulong address, uint size) => (address >> (int)(size + 10) << 6) | size;
}
