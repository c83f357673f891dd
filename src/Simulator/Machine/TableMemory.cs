using System;
using System.Runtime.CompilerServices;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// The physical memory that table pages come from: real words in one array, above all other memory of the server. What
/// is never touched takes no memory of the simulator's process.
/// </summary>
internal sealed class TableMemory
{
    /// <summary>Where it begins: 8 TB, out of the way of every page that a host or a trace names.</summary>
    internal const ulong Base = 1UL << 43;

    private readonly ulong[] _words;

    internal TableMemory(ulong bytes) => _words = new ulong[bytes / sizeof(ulong)];

    /// <summary>The entry at an address. An address outside is a defect of the engine, and throws.</summary>
    internal ref ulong this[Pa entry]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref _words[(entry.Value - Base) >> 3];
    }

    internal void Zero(Pa start, ulong bytes) =>
        _words.AsSpan((int)((start.Value - Base) >> 3), (int)(bytes >> 3)).Clear();
}
