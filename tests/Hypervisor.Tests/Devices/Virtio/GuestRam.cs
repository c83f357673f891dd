using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Quietus.Hypervisor.Devices.Virtio;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>
/// A guest's memory in tests. It notes what a device wrote, and can change under the device's hands, as a hostile
/// guest's second core would change it.
/// </summary>
internal sealed class GuestRam(int bytes)
{
    internal const ulong Start = 0x4000_0000;

    internal byte[] Bytes { get; } = new byte[bytes];

    /// <summary>Address and length of each write of the device's.</summary>
    internal List<(ulong Address, int Length)> Written { get; } = [];

    /// <summary>How often the device read.</summary>
    internal int Reads { get; private set; }

    /// <summary>What happens before each read of the device's.</summary>
    internal Action? BeforeRead { get; set; }

    /// <summary>Accesses to these bytes fail, as where a page is gone.</summary>
    internal (ulong Start, ulong End) Gone { get; set; }

    internal ulong End => Start + (ulong)Bytes.Length;

    internal bool Contains(ulong address, ulong length) =>
        length != 0 && address >= Start && length <= (ulong)Bytes.Length
        && address - Start <= (ulong)Bytes.Length - length;

    internal bool TryRead(ulong address, scoped Span<byte> destination)
    {
        BeforeRead?.Invoke();
        Reads++;
        if (!IsThere(address, destination.Length))
        {
            return false;
        }

        Bytes.AsSpan((int)(address - Start), destination.Length).CopyTo(destination);
        return true;
    }

    internal bool TryWrite(ulong address, scoped ReadOnlySpan<byte> source)
    {
        if (!IsThere(address, source.Length))
        {
            return false;
        }

        source.CopyTo(Bytes.AsSpan((int)(address - Start)));
        Written.Add((address, source.Length));
        return true;
    }

    internal Span<byte> At(ulong address, int length) => Bytes.AsSpan((int)(address - Start), length);

    internal ushort Half(ulong address) => BinaryPrimitives.ReadUInt16LittleEndian(At(address, 2));

    internal uint Word(ulong address) => BinaryPrimitives.ReadUInt32LittleEndian(At(address, 4));

    internal void SetHalf(ulong address, ushort value) =>
        BinaryPrimitives.WriteUInt16LittleEndian(At(address, 2), value);

    private bool IsThere(ulong address, int length) =>
        Contains(address, (ulong)length) && !(address < Gone.End && address + (ulong)length > Gone.Start);

    /// <summary>It as a device has it: the engine wants a struct.</summary>
    internal readonly struct View(GuestRam ram) : IGuestMemory
    {
        public bool Contains(ulong address, ulong length) => ram.Contains(address, length);

        public bool TryRead(ulong address, scoped Span<byte> destination) => ram.TryRead(address, destination);

        public bool TryWrite(ulong address, scoped ReadOnlySpan<byte> source) => ram.TryWrite(address, source);

        public void Fence()
        {
        }
    }
}
