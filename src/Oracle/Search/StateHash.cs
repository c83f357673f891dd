using System;
using System.Collections.Generic;
using System.Numerics;

namespace Quietus.Oracle.Search;

/// <summary>
/// Takes a state word by word and comes to 128 bits. Addresses, PEs and parties are taken by <em>names</em>, which say
/// what they are in this state and not which ones they happen to be, so that states which differ in that alone are the
/// same.
/// </summary>
/// <remarks>One hash serves one thread, for one state after the other.</remarks>
internal sealed class StateHash
{
    private const ulong SeedA = 0xCBF2_9CE4_8422_2325;
    private const ulong SeedB = 0x9E37_79B9_7F4A_7C15;
    private const ulong AddressBits = 0xFFFF_FFFF_F000;

    private readonly Dictionary<int, ulong> _parties = [];
    private readonly List<Area> _areas = [];
    private readonly int[] _pes = new int[32];
    private ulong _a;
    private ulong _b;

    /// <summary>What was taken, as a number.</summary>
    public UInt128 Value => new(_a, _b);

    /// <summary>Begins a state: the names of PEs are given, those of memory and parties are still to come.</summary>
    public void Begin(ReadOnlySpan<int> pes)
    {
        _a = SeedA;
        _b = SeedB;
        _parties.Clear();
        _areas.Clear();
        for (int pe = 0; pe < _pes.Length; pe++)
        {
            _pes[pe] = pe < pes.Length ? pes[pe] : pe;
        }
    }

    /// <summary>An area whose pieces get names in the order in which they are <see cref="NamePiece"/>d.</summary>
    public void AddArea(ulong start, int pieces, int pieceShift)
    {
        _areas.Add(new Area(start, pieces, pieceShift));
    }

    /// <summary>Names the piece that holds an address, unless it has a name.</summary>
    public void NamePiece(ulong address)
    {
        foreach (Area area in _areas)
        {
            if (area.Holds(address))
            {
                area.Name(address);
            }
        }
    }

    /// <summary>An area's pieces in the order of their names; those without one come last.</summary>
    public ReadOnlySpan<int> Pieces(ulong areaStart, out int pieceShift)
    {
        foreach (Area area in _areas)
        {
            if (area.Start == areaStart)
            {
                pieceShift = area.Shift;
                return area.InOrder();
            }
        }

        throw new ArgumentOutOfRangeException(nameof(areaStart));
    }

    public void Write(ulong word)
    {
        _a = (_a ^ word) * 0x9FB2_1C65_1E98_DF25;
        _a ^= _a >> 32;
        _b = (BitOperations.RotateLeft(_b, 23) ^ word) * 0xD6E8_FEB8_6659_FD93;
        _b ^= _b >> 29;
    }

    /// <summary>An address of memory, by its name; any other number as it is.</summary>
    public ulong Address(ulong address)
    {
        foreach (Area area in _areas)
        {
            if (area.Holds(address))
            {
                return area.Named(address);
            }
        }

        return address;
    }

    /// <summary>A descriptor, with its output address by name.</summary>
    public ulong Descriptor(ulong value) =>
        (value & 1) == 0 ? value : (value & ~AddressBits) | (Address(value & AddressBits) & AddressBits);

    public int Pe(int pe) => _pes[pe];

    public uint Pes(uint mask)
    {
        uint named = 0;
        for (uint rest = mask; rest != 0; rest &= rest - 1)
        {
            named |= 1U << _pes[BitOperations.TrailingZeroCount(rest)];
        }

        return named;
    }

    /// <summary>A party's name: its number in the order in which parties come up.</summary>
    public ulong Party(int party)
    {
        if (!_parties.TryGetValue(party, out ulong name))
        {
            name = (ulong)_parties.Count + 1;
            _parties[party] = name;
        }

        return name;
    }

    /// <summary>A party's name if it has come up; 0 otherwise.</summary>
    public ulong KnownParty(int party) => _parties.TryGetValue(party, out ulong name) ? name : 0;

    /// <summary>Sets one element of a set aside: its words are taken apart from all others.</summary>
    public (ulong A, ulong B) BeginElement()
    {
        (ulong A, ulong B) outside = (_a, _b);
        _a = SeedA;
        _b = SeedB;
        return outside;
    }

    /// <summary>The element's own hash; the sum of all of them stands for the set, whatever their order.</summary>
    public UInt128 EndElement((ulong A, ulong B) outside)
    {
        UInt128 value = Value;
        (_a, _b) = outside;
        return value;
    }

    /// <summary>The hash of an element that is one word.</summary>
    public UInt128 Element(ulong word)
    {
        (ulong A, ulong B) outside = BeginElement();
        Write(word);
        return EndElement(outside);
    }

    public void Write(UInt128 word)
    {
        Write((ulong)(word >> 64));
        Write((ulong)word);
    }

    private sealed class Area(ulong start, int pieces, int shift)
    {
        private readonly int[] _names = Unnamed(pieces);
        private readonly int[] _pieces = new int[pieces];
        private int _named;

        public ulong Start => start;

        public int Shift => shift;

        public bool Holds(ulong address) => address - start < (ulong)(uint)pieces << shift;

        public void Name(ulong address) => NamePiece((int)((address - start) >> shift));

        public ulong Named(ulong address) =>
            start + ((ulong)(uint)_names[(int)((address - start) >> shift)] << shift)
            + ((address - start) & ((1UL << shift) - 1));

        public ReadOnlySpan<int> InOrder()
        {
            for (int piece = 0; _named < pieces; piece++)
            {
                NamePiece(piece);
            }

            return _pieces;
        }

        private void NamePiece(int piece)
        {
            if (_names[piece] < 0)
            {
                _pieces[_named] = piece;
                _names[piece] = _named++;
            }
        }

        private static int[] Unnamed(int pieces)
        {
            int[] names = new int[pieces];
            Array.Fill(names, -1);
            return names;
        }
    }
}
