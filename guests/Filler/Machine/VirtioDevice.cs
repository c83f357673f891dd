namespace Quietus.Filler.Machine;

/// <summary>
/// A virtio device over MMIO and one queue of it (Virtual I/O Device 1.2, 2.7 and 4.2), driven as hard as can be: what
/// is written is what the caller says, right or wrong. The registers' offsets are written here on purpose, apart from
/// the hypervisor's, so that the two check each other.
/// </summary>
/// <param name="transport">Where the registers are.</param>
/// <param name="memory">A page for the rings, which begins with the descriptors.</param>
/// <remarks>Invariant: the page is RAM that this guest uses for nothing else.</remarks>
internal readonly unsafe struct VirtioDevice(ulong transport, ulong memory)
{
    internal const ulong Places = 0x0A00_0000;
    internal const ulong BytesOfPlace = 0x200;
    internal const int PlaceCount = 32;
    internal const int FirstInterrupt = 48;

    internal const ulong NeedsReset = 0x40;
    internal const uint Next = 1;
    internal const uint Write = 2;
    internal const uint Indirect = 4;
    internal const int DescriptorBytes = 16;

    /// <summary>The greatest queue: descriptors take the first kilobyte of the page.</summary>
    internal const int MostEntries = 64;

    internal const ulong AvailableOffset = 0x400;
    internal const ulong UsedOffset = 0x800;

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

    internal ulong Transport { get; } = transport;

    internal ulong Memory { get; } = memory;

    /// <summary>The kind of device at a place; 0 for none.</summary>
    internal static ulong KindAt(int place)
    {
        ulong at = Places + ((ulong)place * BytesOfPlace);
        return Instructions.Load32(at + Magic) == 0x7472_6976 && Instructions.Load32(at + Version) == 2
            ? Instructions.Load32(at + DeviceId)
            : 0;
    }

    internal ulong LoadStatus() => Instructions.Load32(Transport + Status);

    internal ulong LoadInterrupts() => Instructions.Load32(Transport + InterruptStatus);

    internal void Acknowledge(ulong interrupts) => Instructions.Store32(Transport + InterruptAcknowledge, interrupts);

    internal void Notify(ulong queue) => Instructions.Store32(Transport + QueueNotify, queue);

    internal void Reset() => Instructions.Store32(Transport + Status, 0);

    /// <summary>Resets it, and begins anew with one queue, and without event indices.</summary>
    internal void Start(uint queue, uint entries)
    {
        *(uint*)(Memory + AvailableOffset) = 0;
        *(uint*)(Memory + UsedOffset) = 0;
        Reset();
        Instructions.Store32(Transport + Status, 3);
        Instructions.Store32(Transport + DriverFeaturesSelect, 0);
        Instructions.Store32(Transport + DriverFeatures, 1UL << 28);
        Instructions.Store32(Transport + DriverFeaturesSelect, 1);
        Instructions.Store32(Transport + DriverFeatures, 1);
        Instructions.Store32(Transport + Status, 11);
        Instructions.Store32(Transport + QueueSelect, queue);
        Instructions.Store32(Transport + QueueSize, entries);
        StoreAddress(QueueDescriptors, Memory);
        StoreAddress(QueueAvailable, Memory + AvailableOffset);
        StoreAddress(QueueUsed, Memory + UsedOffset);
        Instructions.Store32(Transport + QueueReady, 1);
        Instructions.Store32(Transport + Status, 15);
    }

    /// <summary>Offers a request, the count-th of the queue.</summary>
    internal void Offer(uint head, uint count, uint entries)
    {
        *(ushort*)(Memory + AvailableOffset + 4 + (2 * (ulong)((count - 1) % entries))) = (ushort)head;
        *(ushort*)(Memory + AvailableOffset + 2) = (ushort)count;
    }

    internal static void Describe(ulong table, int index, ulong address, uint length, uint flags, uint next)
    {
        ulong* descriptor = (ulong*)(table + ((ulong)index * DescriptorBytes));
        descriptor[0] = address;
        descriptor[1] = length | ((ulong)flags << 32) | ((ulong)next << 48);
    }

    private void StoreAddress(ulong register, ulong address)
    {
        Instructions.Store32(Transport + register, address & uint.MaxValue);
        Instructions.Store32(Transport + register + 4, address >> 32);
    }
}
