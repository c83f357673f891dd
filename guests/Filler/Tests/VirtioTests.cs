using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>
/// Every virtio device that the VM has: lied to in every way, at each of its queues. The entropy device (Virtual I/O
/// Device 1.2, 5.4) and the disk are driven as the specification says, before that and after.
/// </summary>
/// <remarks>Invariant: queue and buffers lie in pages of RAM that this guest uses for nothing else.</remarks>
internal static unsafe class VirtioTests
{
    private const ulong Entropy = 4;
    private const ulong Net = 1;
    private const ulong Socket = 19;
    private const ulong PendingOfDistributor = 0x200;

    private const int Pages = DiskTests.Pages;
    private const int TouchedPages = 2;
    private const int Size = 16;
    private const int Rounds = 2000;
    private const uint Queues = 3;
    private const long Off = 1;
    private const ulong Unnamed = 0x0DD5_EEDB_0A70_0DD5;

    internal static void Run(ref Tally tally)
    {
        ulong memory = FreeMemory.FindLowest(Pages);
        int found = 0;
        RandomNumbers random = new(11);
        for (int place = 0; memory != 0 && place < VirtioDevice.PlaceCount; place++)
        {
            ulong kind = VirtioDevice.KindAt(place);
            if (kind == 0)
            {
                continue;
            }

            found++;
            VirtioDevice device = new(VirtioDevice.Places + ((ulong)place * VirtioDevice.BytesOfPlace), memory);
            if (kind == DiskTests.Kind)
            {
                Clear(memory, Pages);
                RunDisk(ref tally, in device, ref random);
                continue;
            }

            if (kind == Entropy)
            {
                Clear(memory, TouchedPages);
                Right(ref tally, in device, place);
            }

            for (int round = 0; round < Rounds; round++)
            {
                Dress(memory + (2 * FreeMemory.PageBytes), kind, ref random);
                Lie(ref tally, in device, ref random);
            }

            if (kind == Entropy)
            {
                Clear(memory, Pages);
                Right(ref tally, in device, place);
            }
        }

        tally.Check(found != 0, "there is a virtio device"u8, memory);
    }

    /// <summary>
    /// The disk: as a driver does; lies, in half of the rounds beside another core that resets it; as a driver again.
    /// </summary>
    private static void RunDisk(ref Tally tally, in VirtioDevice device, ref RandomNumbers random)
    {
        ulong sectors = DiskTests.Sectors(in device);
        DiskTests.Right(ref tally, in device);
        DiskTests.Fill(DiskTests.Sentinel(in device), Unnamed);
        bool hasHelper = false;
        for (int round = 0; round < Rounds; round++)
        {
            if (round == Rounds / 2)
            {
                hasHelper = Board.CpuCount > 1 && Cpus.StartAll(CpuJob.ResetDisk);
            }

            DiskTests.Lie(ref tally, in device, ref random);
            DiskTests.Dress(device.Memory + (2 * FreeMemory.PageBytes), sectors, ref random);
            Lie(ref tally, in device, ref random);
        }

        DiskTests.StopResetting();
        tally.Check(hasHelper || Board.CpuCount == 1, "another core resets the disk"u8);
        tally.Check(
            DiskTests.Holds(DiskTests.Sentinel(in device), FreeMemory.PageBytes, Unnamed),
            "memory that no request named is as it was"u8);
        for (int cpu = 1; cpu < Board.CpuCount; cpu++)
        {
            while (Firmware.Call(Firmware.AffinityInfo, Board.Affinity(cpu), 0) != Off)
            {
                Instructions.Yield();
            }
        }

        DiskTests.Right(ref tally, in device);
    }

    /// <summary>
    /// One request of two buffers, as a driver makes it. At first half of the first one lies in a page that was never
    /// touched.
    /// </summary>
    private static void Right(ref Tally tally, in VirtioDevice device, int place)
    {
        const uint Bytes = 64;
        ulong memory = device.Memory;
        ulong buffer = memory + (2 * FreeMemory.PageBytes) - 32;
        VirtioDevice.Describe(memory, 0, buffer, 40, VirtioDevice.Next | VirtioDevice.Write, 1);
        VirtioDevice.Describe(memory, 1, buffer + 40, Bytes, VirtioDevice.Write, 0);
        device.Start(0, Size);
        device.Offer(0, 1, Size);
        device.Notify(0);

        ulong used = memory + VirtioDevice.UsedOffset;
        tally.Check(*(ushort*)(used + 2) == 1, "the request comes back"u8, *(ushort*)(used + 2));
        tally.Check(*(uint*)(used + 8) == Bytes, "with 64 bytes"u8, *(uint*)(used + 8));
        ulong any = 0;
        for (ulong at = buffer; at < buffer + Bytes; at += 8)
        {
            any |= *(ulong*)at;
        }

        tally.Check(any != 0, "which are random"u8, any);
        tally.Check(*(ulong*)(buffer + Bytes) == 0, "and no more"u8, *(ulong*)(buffer + Bytes));
        tally.Check(device.LoadInterrupts() == 1, "it tells of it"u8);
        tally.Check(IsPending(place), "by its interrupt"u8);
        device.Acknowledge(1);
        tally.Check(!IsPending(place), "until that is acknowledged"u8);
    }

    /// <summary>A queue of nonsense. What comes of it is the device's death until its reset, or nothing.</summary>
    private static void Lie(ref Tally tally, in VirtioDevice device, ref RandomNumbers random)
    {
        ulong memory = device.Memory;
        for (int i = 0; i < Size; i++)
        {
            DescribeAnything(memory, i, memory, ref random);
            DescribeAnything(memory + FreeMemory.PageBytes, i, memory, ref random);
        }

        uint queue = (uint)(random.Next() % Queues);
        device.Start(queue, Size);
        int offers = (int)(random.Next() % (Size + 1));
        for (uint i = 0; i < offers; i++)
        {
            device.Offer(
                random.Next() % 30 == 0 ? (uint)random.Next() : (uint)(random.Next() % Size), i + 1, Size);
        }

        if (random.Next() % 16 == 0)
        {
            Instructions.Store32(device.Transport + (random.Next() % VirtioDevice.BytesOfPlace & ~3UL), random.Next());
            *(ushort*)(memory + VirtioDevice.AvailableOffset + 2) = (ushort)random.Next();
        }

        device.Notify(queue);
        device.Notify(random.Next());
        ulong status = device.LoadStatus() & ~VirtioDevice.NeedsReset;
        tally.Check((status & ~0x8FUL) == 0, "its status stays one"u8, status);
    }

    /// <summary>
    /// Bytes that a packet or a frame could begin with, so that not every lie ends at the first check.
    /// </summary>
    private static void Dress(ulong page, ulong kind, ref RandomNumbers random)
    {
        for (ulong at = page; at < page + 64; at += 8)
        {
            *(ulong*)at = random.Next();
        }

        if (kind == Socket)
        {
            // From and to: CIDs. Then ports, a length, a type, an operation (5.10.6).
            ((ulong*)page)[0] = 3 + (random.Next() % 4);
            ((ulong*)page)[1] = 2;
            *(uint*)(page + 24) = (uint)(random.Next() % 300);
            *(ushort*)(page + 28) = 1;
            *(ushort*)(page + 30) = (ushort)(random.Next() % 9);
        }
        else if (kind == Net)
        {
            // Of the machine that this is, or of a neighbour's; an IPv4 packet.
            *(ushort*)(page + 18) = 0x5102;
            *(uint*)(page + 20) = (uint)(1 + (random.Next() % 4)) << 24;
            *(ushort*)(page + 24) = 0x0008;
        }
    }

    private static void DescribeAnything(ulong table, int index, ulong memory, ref RandomNumbers random)
    {
        ulong page = memory + (2 * FreeMemory.PageBytes);
        ulong address = (random.Next() % 16) switch
        {
            0 => Board.RamEnd - (random.Next() % 64),
            1 => Board.RamStart - (random.Next() % 64),
            2 => random.Next(),
            3 => VirtioDevice.Places,
            4 or 5 or 6 => page,
            _ => page + (random.Next() % FreeMemory.PageBytes),
        };
        uint length = (random.Next() % 16) switch
        {
            0 => 0,
            1 => (uint)random.Next(),
            _ => (uint)(1 + (random.Next() % 200)),
        };
        uint flags = (random.Next() % 3 == 0 ? VirtioDevice.Next : 0)
            | (random.Next() % 2 != 0 ? VirtioDevice.Write : 0);
        if (random.Next() % 8 == 0)
        {
            flags |= VirtioDevice.Indirect;
            address = memory + FreeMemory.PageBytes;
            length = random.Next() % 4 == 0
                ? length
                : VirtioDevice.DescriptorBytes * (uint)(1 + (random.Next() % Size));
        }

        uint next = random.Next() % 16 == 0 ? (ushort)random.Next() : (uint)(random.Next() % Size);
        VirtioDevice.Describe(table, index, address, length, flags, next);
    }

    private static void Clear(ulong memory, int pages)
    {
        for (ulong at = memory; at < memory + ((ulong)pages * FreeMemory.PageBytes); at += 8)
        {
            *(ulong*)at = 0;
        }
    }

    private static bool IsPending(int place)
    {
        int interrupt = VirtioDevice.FirstInterrupt + place - 32;
        return (Instructions.Load32(Board.Distributor + PendingOfDistributor + 4) & (1UL << interrupt)) != 0;
    }
}
