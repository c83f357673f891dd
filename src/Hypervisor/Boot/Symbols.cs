using System;
using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Boot;

/// <summary>
/// Names of the image's functions, as build/symbol-table laid them at the image's end: a count (8 bytes), then 32-bit
/// offsets from the image's start in address order, then the names in the same order.
/// </summary>
internal static unsafe class Symbols
{
    /// <summary>The function that an address lies in.</summary>
    /// <param name="address">Any address.</param>
    /// <param name="offset">Bytes from the function's start.</param>
    /// <returns>Its name, or an empty text when the address is not in the image's text.</returns>
    internal static ReadOnlySpan<byte> Find(ulong address, out ulong offset)
    {
        offset = 0;
        ulong start = Instructions.ImageAddress(ImageBoundary.Start);
        ulong table = Instructions.ImageAddress(ImageBoundary.Symbols);
        ulong tableEnd = Instructions.ImageAddress(ImageBoundary.SymbolsEnd);
        if (address < start || address >= Instructions.ImageAddress(ImageBoundary.TextEnd) || tableEnd - table < 8)
        {
            return default;
        }

        // Invariant: the linker put the whole table between the two symbols; the count and offsets are the build's own.
        uint count = *(uint*)table;
        uint* functions = (uint*)(table + 8);
        uint low = 0;
        uint high = count;
        while (low < high)
        {
            uint middle = (low + high) / 2;
            if (functions[middle] <= address - start)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        if (low == 0)
        {
            return default;
        }

        offset = address - start - functions[low - 1];
        byte* name = (byte*)(functions + count);
        for (uint before = low - 1; before != 0 && (ulong)name < tableEnd; name++)
        {
            before -= *name == 0 ? 1U : 0;
        }

        int length = 0;
        while ((ulong)(name + length) < tableEnd && name[length] != 0)
        {
            length++;
        }

        return new ReadOnlySpan<byte>(name, length);
    }
}
