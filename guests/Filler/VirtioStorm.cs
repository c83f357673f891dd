using Quietus.Filler.Machine;
using Quietus.Filler.Tests;

namespace Quietus.Filler;

/// <summary>
/// Keeps a virtio device as busy as one vCPU can, and each step of it as long as a queue allows: chains of 64 buffers,
/// each of them in a page of its own. Each core takes a device that the others have not, as far as there are some.
/// </summary>
/// <remarks>Invariant: a core's pages are its own, RAM that this guest uses for nothing else.</remarks>
internal static class VirtioStorm
{
    private const int Entries = VirtioDevice.MostEntries;

    /// <summary>The rings, a table of descriptors, and a page for each buffer.</summary>
    private const ulong PagesOfCore = 2 + Entries;

    /// <summary>Bytes of a buffer: all together a frame of a network is not too long.</summary>
    private const uint BufferBytes = 20;

    /// <summary>
    /// Bytes of a disk's buffer: 16 for the header, then as many as make 4 KB, the piece that a disk moves at once.
    /// </summary>
    private const uint HeaderBytes = 16;
    private const uint DataBytes = 66;
    private const uint LastBytes = 4096 + 1 - ((Entries - 3) * DataBytes);

    private const ulong Entropy = 4;

    /// <summary>Never returns.</summary>
    internal static void Run(int cpu)
    {
        ulong memory = FreeMemory.FindLowest(PagesOfCore * (ulong)Board.CpuCount)
            + ((ulong)cpu * PagesOfCore * FreeMemory.PageBytes);
        int place = FindDevice(cpu);
        VirtioDevice device = new(VirtioDevice.Places + ((ulong)place * VirtioDevice.BytesOfPlace), memory);

        // What an entropy device does is to write; the others transmit by queue 1.
        // A disk is asked to read: its header, of zeroes, says so.
        ulong kind = VirtioDevice.KindAt(place);
        bool isDisk = kind == DiskTests.Kind;
        bool isWritten = kind == Entropy || isDisk;
        int entries = isDisk ? Entries - 1 : Entries;
        ulong table = memory + FreeMemory.PageBytes;
        for (int i = 0; i < entries; i++)
        {
            bool isLast = i == entries - 1;
            uint flags = (isWritten && !(isDisk && i == 0) ? VirtioDevice.Write : 0)
                | (isLast ? 0 : VirtioDevice.Next);
            ulong page = table + ((1 + (ulong)i) * FreeMemory.PageBytes);
            uint bytes = !isDisk ? BufferBytes : i == 0 ? HeaderBytes : isLast ? LastBytes : DataBytes;
            VirtioDevice.Describe(table, i, page, bytes, flags, (uint)i + 1);
        }

        for (int i = 0; i < Entries; i++)
        {
            VirtioDevice.Describe(
                memory, i, table, (uint)entries * VirtioDevice.DescriptorBytes, VirtioDevice.Indirect, 0);
        }

        uint queue = isWritten ? 0u : 1u;
        uint count = 0;
        while (true)
        {
            if (count == 0 || (device.LoadStatus() & VirtioDevice.NeedsReset) != 0)
            {
                device.Start(queue, Entries);
                count = 0;
            }

            for (uint i = 0; i < Entries; i++)
            {
                count++;
                device.Offer(i, count, Entries);
            }

            device.Notify(queue);
            device.Acknowledge(3);
        }
    }

    /// <summary>The cpu-th of the devices, counted round.</summary>
    private static int FindDevice(int cpu)
    {
        int place = -1;
        for (int left = cpu + 1; left > 0;)
        {
            place = (place + 1) % VirtioDevice.PlaceCount;
            left -= VirtioDevice.KindAt(place) != 0 ? 1 : 0;
        }

        return place;
    }
}
