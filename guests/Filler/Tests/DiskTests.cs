using System.Threading;
using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>
/// A virtio disk (Virtual I/O Device 1.2, 5.2): driven as the specification says, and lied to in what only a disk is
/// told: types, sectors, lengths. The lies of <see cref="VirtioTests"/> are told to it as well. The upper half of the
/// disk must hold <see cref="Kept"/> in every byte: no request ever names a sector of it to be written, so it must hold
/// that to the end.
/// </summary>
/// <remarks>Invariant: queue and buffers lie in pages of RAM that this guest uses for nothing else.</remarks>
internal static unsafe class DiskTests
{
    internal const ulong Kind = 2;

    private const uint In = 0;
    private const uint Out = 1;
    private const uint GetId = 8;
    private const ulong Fine = 0;
    private const ulong Failed = 1;
    private const ulong Unsupported = 2;

    private const ulong Untold = 0xFF;
    private const uint Sector = 512;
    private const ulong Kept = 0xA5A5_A5A5_A5A5_A5A5;
    private const ulong CapacityOffset = 0x100;

    /// <summary>Where a VM's disk lies in its memory (docs/devices.md).</summary>
    private const ulong DiskMemory = 128UL << 30;

    private const int Size = 16;
    private const int MostBuffers = 12;

    private static int _mustStop;

    /// <summary>Pages: rings, a table, header and status, data, and one that no request names.</summary>
    internal const int Pages = 5;

    /// <summary>Requests of every kind, as a driver makes them, and what must come of each.</summary>
    internal static void Right(ref Tally tally, in VirtioDevice device)
    {
        ulong sectors = Sectors(in device);
        ulong data = Data(in device);
        Fill(data, 0x5EED);
        device.Start(0, Size);
        tally.Check(Ask(in device, Out, 1, Sector, VirtioDevice.Write) == Fine, "a write of nothing"u8);
        tally.Check(*(ulong*)data == 0x5EED, "leaves a buffer that is the device's to write"u8, *(ulong*)data);
        tally.Check(Ask(in device, Out, 1, 2 * Sector, 0) == Fine, "two sectors are written"u8);
        Fill(data, 0);
        tally.Check(Ask(in device, In, 2, Sector, VirtioDevice.Write) == Fine, "one is read"u8);
        tally.Check(Holds(data, Sector, 0x5EED), "as it was written"u8, *(ulong*)data);
        tally.Check(*(ulong*)(data + Sector) == 0, "and no more"u8, *(ulong*)(data + Sector));
        tally.Check(Ask(in device, In, sectors - 1, Sector, VirtioDevice.Write) == Fine, "the last sector"u8);
        tally.Check(Holds(data, Sector, Kept), "is as it was"u8, *(ulong*)data);
        tally.Check(Ask(in device, In, sectors / 2, Sector, VirtioDevice.Write) == Fine, "the middle"u8);
        tally.Check(Holds(data, Sector, Kept), "is as it was, too"u8, *(ulong*)data);

        Fill(data, 0);
        tally.Check(Refuses(in device, In, sectors, Sector), "no sector beyond the end"u8);
        tally.Check(Refuses(in device, In, sectors - 1, 2 * Sector), "nor across it"u8);
        tally.Check(Refuses(in device, In, ulong.MaxValue, Sector), "nor the last of all numbers"u8);
        tally.Check(Refuses(in device, In, ulong.MaxValue / Sector, 2 * Sector), "nor one whose place wraps"u8);
        tally.Check(Refuses(in device, In, 0, Sector + 8), "no part of a sector"u8);
        tally.Check(Refuses(in device, Out, sectors, Sector), "no write beyond the end"u8);
        tally.Check(Refuses(in device, GetId, 0, 8), "no name without room"u8);
        tally.Check(Holds(data, 2 * Sector, 0), "and nothing is written"u8, *(ulong*)data);
        tally.Check(
            Ask(in device, 77, 0, Sector, VirtioDevice.Write) == Unsupported, "an unknown type is told so"u8);
        tally.Check(
            Ask(in device, uint.MaxValue, 0, Sector, 0) == Unsupported, "and the last of all types"u8);
        tally.Check(Ask(in device, GetId, 0, 20, VirtioDevice.Write) == Fine, "it has a name"u8);
        tally.Check((device.LoadStatus() & VirtioDevice.NeedsReset) == 0, "and is not broken"u8);
    }

    /// <summary>A header, in place of what a network's frame would begin with.</summary>
    internal static void Dress(ulong page, ulong sectors, ref RandomNumbers random)
    {
        *(uint*)page = (random.Next() % 8) switch
        {
            0 => (uint)random.Next(),
            1 => GetId,
            2 or 3 or 4 => Out,
            _ => In,
        };
        bool isWrite = *(uint*)page == Out;
        *(uint*)(page + 4) = 0;
        *(ulong*)(page + 8) = (random.Next() % 8) switch
        {
            0 => sectors,
            1 => random.Next() | (1UL << 63),
            2 => ulong.MaxValue / Sector,
            3 when !isWrite => sectors - (random.Next() % 4),
            _ => random.Next() % (sectors / 4),
        };
    }

    /// <summary>
    /// A chain that is right but for one thing or two: header, many buffers, a status; up to 48 KB, so that a request
    /// takes more than one step.
    /// </summary>
    internal static void Lie(ref Tally tally, in VirtioDevice device, ref RandomNumbers random)
    {
        ulong header = device.Memory + (2 * FreeMemory.PageBytes);
        ulong data = Data(in device);
        Dress(header, Sectors(in device), ref random);
        int buffers = 1 + (int)(random.Next() % MostBuffers);
        uint flags = *(uint*)header == Out ? 0 : VirtioDevice.Write;
        int liar = (int)(random.Next() % 16);
        VirtioDevice.Describe(device.Memory, 0, header, 16, VirtioDevice.Next, 1);
        for (int i = 1; i <= buffers; i++)
        {
            ulong address = data;
            uint length = random.Next() % 4 == 0 ? Sector : (uint)FreeMemory.PageBytes;
            uint own = flags | VirtioDevice.Next;
            uint next = (uint)i + 1;
            if (i == liar)
            {
                address = Anywhere(data, Sectors(in device), ref random);
                length = random.Next() % 4 == 0 ? (uint)random.Next() | (1U << 31) : length;
                own ^= random.Next() % 4 == 0 ? VirtioDevice.Write : 0;
                next = random.Next() % 4 == 0 ? (uint)(random.Next() % Size) : next;
            }

            VirtioDevice.Describe(device.Memory, i, address, length, own, next);
        }

        VirtioDevice.Describe(
            device.Memory, buffers + 1, header + 32, 1, random.Next() % 8 == 0 ? 0 : VirtioDevice.Write, 0);
        device.Start(0, Size);
        device.Offer(0, 1, Size);
        if (random.Next() % 16 == 0)
        {
            device.Offer(0, (uint)random.Next(), Size);
        }

        device.Notify(0);
        ulong status = device.LoadStatus() & ~VirtioDevice.NeedsReset;
        tally.Check((status & ~0x8FUL) == 0, "a disk's status stays one"u8, status);
    }

    /// <summary>The page that no request names.</summary>
    internal static ulong Sentinel(in VirtioDevice device) => Data(in device) + FreeMemory.PageBytes;

    internal static ulong Sectors(in VirtioDevice device) =>
        Instructions.Load32(device.Transport + CapacityOffset)
            | (Instructions.Load32(device.Transport + CapacityOffset + 4) << 32);

    /// <summary>The second core's part: resets the disk over and over, in the middle of whatever it does.</summary>
    internal static void KeepResetting()
    {
        for (int place = 0; place < VirtioDevice.PlaceCount; place++)
        {
            if (VirtioDevice.KindAt(place) != Kind)
            {
                continue;
            }

            VirtioDevice device = new(VirtioDevice.Places + ((ulong)place * VirtioDevice.BytesOfPlace), 0);
            while (Volatile.Read(ref _mustStop) == 0)
            {
                device.Reset();
            }
        }
    }

    /// <summary>Ends that.</summary>
    internal static void StopResetting() => Volatile.Write(ref _mustStop, 1);

    internal static void Fill(ulong page, ulong value)
    {
        for (ulong at = page; at < page + FreeMemory.PageBytes; at += 8)
        {
            *(ulong*)at = value;
        }
    }

    internal static bool Holds(ulong start, ulong bytes, ulong value)
    {
        for (ulong at = start; at < start + bytes; at += 8)
        {
            if (*(ulong*)at != value)
            {
                return false;
            }
        }

        return true;
    }

    private static ulong Data(in VirtioDevice device) => device.Memory + (3 * FreeMemory.PageBytes);

    private static ulong Anywhere(ulong data, ulong sectors, ref RandomNumbers random) => (random.Next() % 8) switch
    {
        0 => Board.RamEnd - (random.Next() % FreeMemory.PageBytes),
        1 => Board.RamStart - (random.Next() % FreeMemory.PageBytes),
        2 => DiskMemory - (random.Next() % FreeMemory.PageBytes),
        3 => DiskMemory + (sectors * Sector) - (random.Next() % Sector),
        4 => ulong.MaxValue - (random.Next() % FreeMemory.PageBytes),
        5 => random.Next(),
        6 => VirtioDevice.Places,
        _ => data,
    };

    private static bool Refuses(in VirtioDevice device, uint type, ulong sector, uint bytes) =>
        Ask(in device, type, sector, bytes, type == Out ? 0 : VirtioDevice.Write) == Failed;

    /// <summary>One request, of header, data, and a byte of status, which it gives back.</summary>
    private static ulong Ask(in VirtioDevice device, uint type, ulong sector, uint bytes, uint flags)
    {
        ulong header = device.Memory + (2 * FreeMemory.PageBytes);
        *(ulong*)header = type;
        *(ulong*)(header + 8) = sector;
        *(byte*)(header + 32) = (byte)Untold;
        VirtioDevice.Describe(device.Memory, 0, header, 16, VirtioDevice.Next, 1);
        VirtioDevice.Describe(device.Memory, 1, Data(in device), bytes, flags | VirtioDevice.Next, 2);
        VirtioDevice.Describe(device.Memory, 2, header + 32, 1, VirtioDevice.Write, 0);
        ulong count = *(ushort*)(device.Memory + VirtioDevice.UsedOffset + 2) + 1UL;
        device.Offer(0, (uint)count, Size);
        device.Notify(0);
        return *(ushort*)(device.Memory + VirtioDevice.UsedOffset + 2) == count ? *(byte*)(header + 32) : Untold;
    }
}
