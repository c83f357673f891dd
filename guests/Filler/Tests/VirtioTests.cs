using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>
/// The entropy device (Virtual I/O Device 1.2, 4.2 and 5.4): driven as the specification says, then lied to in every
/// way, then driven again.
/// </summary>
/// <remarks>Invariant: queue and buffers lie in pages of RAM that this guest uses for nothing else.</remarks>
internal static unsafe class VirtioTests
{
    private const ulong Transport = 0x0A00_0000;
    private const int SharedInterrupt = 48;

    private const ulong Magic = 0x000;
    private const ulong Version = 0x004;
    private const ulong DeviceId = 0x008;
    private const ulong DriverFeatures = 0x020;
    private const ulong DriverFeaturesSelect = 0x024;
    private const ulong QueueSelect = 0x030;
    private const ulong QueueSize = 0x038;
    private const ulong QueueReady = 0x044;
    private const ulong QueueNotify = 0x050;
    private const ulong InterruptStatus = 0x060;
    private const ulong InterruptAcknowledge = 0x064;
    private const ulong Status = 0x070;
    private const ulong QueueDescriptors = 0x080;
    private const ulong QueueAvailable = 0x090;
    private const ulong QueueUsed = 0x0A0;

    private const ulong StatusAll = 15;
    private const ulong StatusNeedsReset = 0x40;
    private const ulong PendingOfDistributor = 0x200;

    private const uint Next = 1;
    private const uint Write = 2;
    private const uint Indirect = 4;

    private const int Pages = 4;
    private const int TouchedPages = 2;
    private const int Size = 16;
    private const int Rounds = 2000;
    private const int DescriptorBytes = 16;

    internal static void Run(ref Tally tally)
    {
        ulong memory = FreeMemory.FindLowest(Pages);
        bool isThere = Instructions.Load32(Transport + Magic) == 0x7472_6976
            && Instructions.Load32(Transport + Version) == 2
            && Instructions.Load32(Transport + DeviceId) == 4
            && memory != 0;
        tally.Check(isThere, "there is an entropy device"u8, Instructions.Load32(Transport + DeviceId));
        if (!isThere)
        {
            return;
        }

        Clear(memory, TouchedPages);
        Right(ref tally, memory);
        RandomNumbers random = new(11);
        for (int round = 0; round < Rounds; round++)
        {
            Lie(ref tally, memory, ref random);
        }

        Clear(memory, Pages);
        Right(ref tally, memory);
    }

    /// <summary>
    /// One request of two buffers, as a driver makes it. At first half of the first one lies in a page that was never
    /// touched.
    /// </summary>
    private static void Right(ref Tally tally, ulong memory)
    {
        const uint Bytes = 64;
        ulong buffer = memory + (2 * FreeMemory.PageBytes) - 32;
        Describe(memory, 0, buffer, 40, Next | Write, 1);
        Describe(memory, 1, buffer + 40, Bytes, Write, 0);
        Start(memory, memory, memory + 0x400, memory + 0x800, Size);
        Offer(memory, 0, 1);
        Instructions.Store32(Transport + QueueNotify, 0);

        tally.Check(*(ushort*)(memory + 0x802) == 1, "the request comes back"u8, *(ushort*)(memory + 0x802));
        tally.Check(*(uint*)(memory + 0x808) == Bytes, "with 64 bytes"u8, *(uint*)(memory + 0x808));
        ulong any = 0;
        for (ulong at = buffer; at < buffer + Bytes; at += 8)
        {
            any |= *(ulong*)at;
        }

        tally.Check(any != 0, "which are random"u8, any);
        tally.Check(*(ulong*)(buffer + Bytes) == 0, "and no more"u8, *(ulong*)(buffer + Bytes));
        tally.Check(Instructions.Load32(Transport + InterruptStatus) == 1, "it tells of it"u8);
        tally.Check(IsPending(), "by its interrupt"u8);
        Instructions.Store32(Transport + InterruptAcknowledge, 1);
        tally.Check(!IsPending(), "until that is acknowledged"u8);
    }

    /// <summary>A queue of nonsense. What comes of it is the device's death until its reset, or nothing.</summary>
    private static void Lie(ref Tally tally, ulong memory, ref RandomNumbers random)
    {
        for (int i = 0; i < Size; i++)
        {
            DescribeAnything(memory, i, memory, ref random);
            DescribeAnything(memory + FreeMemory.PageBytes, i, memory, ref random);
        }

        ulong used = memory + 0x800;
        Start(memory, memory, memory + 0x400, used, Size);
        int offers = (int)(random.Next() % (Size + 1));
        for (int i = 0; i < offers; i++)
        {
            Offer(memory, random.Next() % 30 == 0 ? (uint)random.Next() : (uint)(random.Next() % Size), i + 1);
        }

        if (random.Next() % 16 == 0)
        {
            Instructions.Store32(Transport + (random.Next() % 0x200 & ~3UL), random.Next());
            *(ushort*)(memory + 0x402) = (ushort)random.Next();
        }

        Instructions.Store32(Transport + QueueNotify, 0);
        Instructions.Store32(Transport + QueueNotify, random.Next());
        ulong status = Instructions.Load32(Transport + Status) & ~StatusNeedsReset;
        tally.Check((status & ~0x8FUL) == 0, "its status stays one"u8, status);
    }

    private static void DescribeAnything(ulong table, int index, ulong memory, ref RandomNumbers random)
    {
        ulong address = (random.Next() % 16) switch
        {
            0 => Board.RamEnd - (random.Next() % 64),
            1 => Board.RamStart - (random.Next() % 64),
            2 => random.Next(),
            3 => Transport,
            _ => memory + (2 * FreeMemory.PageBytes) + (random.Next() % FreeMemory.PageBytes),
        };
        uint length = (random.Next() % 16) switch
        {
            0 => 0,
            1 => (uint)random.Next(),
            _ => (uint)(1 + (random.Next() % 200)),
        };
        uint flags = (random.Next() % 3 == 0 ? Next : 0) | (random.Next() % 3 != 0 ? Write : 0);
        if (random.Next() % 8 == 0)
        {
            flags |= Indirect;
            address = memory + FreeMemory.PageBytes;
            length = random.Next() % 4 == 0 ? length : DescriptorBytes * (uint)(1 + (random.Next() % Size));
        }

        uint next = random.Next() % 16 == 0 ? (ushort)random.Next() : (uint)(random.Next() % Size);
        Describe(table, index, address, length, flags, next);
    }

    private static void Start(ulong memory, ulong descriptors, ulong available, ulong used, uint size)
    {
        *(uint*)(memory + 0x400) = 0;
        *(uint*)(memory + 0x800) = 0;
        Instructions.Store32(Transport + Status, 0);
        Instructions.Store32(Transport + Status, 3);
        Instructions.Store32(Transport + DriverFeaturesSelect, 0);
        Instructions.Store32(Transport + DriverFeatures, 1UL << 28);
        Instructions.Store32(Transport + DriverFeaturesSelect, 1);
        Instructions.Store32(Transport + DriverFeatures, 1);
        Instructions.Store32(Transport + Status, 11);
        Instructions.Store32(Transport + QueueSelect, 0);
        Instructions.Store32(Transport + QueueSize, size);
        StoreAddress(QueueDescriptors, descriptors);
        StoreAddress(QueueAvailable, available);
        StoreAddress(QueueUsed, used);
        Instructions.Store32(Transport + QueueReady, 1);
        Instructions.Store32(Transport + Status, StatusAll);
    }

    private static void StoreAddress(ulong register, ulong address)
    {
        Instructions.Store32(Transport + register, address & uint.MaxValue);
        Instructions.Store32(Transport + register + 4, address >> 32);
    }

    private static void Offer(ulong memory, uint head, int count)
    {
        *(ushort*)(memory + 0x404 + (2 * (ulong)((count - 1) % Size))) = (ushort)head;
        *(ushort*)(memory + 0x402) = (ushort)count;
    }

    private static void Describe(ulong table, int index, ulong address, uint length, uint flags, uint next)
    {
        ulong* descriptor = (ulong*)(table + ((ulong)index * DescriptorBytes));
        descriptor[0] = address;
        descriptor[1] = length | ((ulong)flags << 32) | ((ulong)next << 48);
    }

    private static void Clear(ulong memory, int pages)
    {
        for (ulong at = memory; at < memory + ((ulong)pages * FreeMemory.PageBytes); at += 8)
        {
            *(ulong*)at = 0;
        }
    }

    private static bool IsPending() =>
        (Instructions.Load32(Board.Distributor + PendingOfDistributor + 4) & (1UL << (SharedInterrupt - 32))) != 0;
}
