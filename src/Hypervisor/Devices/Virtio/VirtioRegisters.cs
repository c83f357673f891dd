namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// The registers of a virtio device over MMIO, version 2 (Virtual I/O Device 1.2, 4.2.2): offsets of words, and what
/// stands in them. The same for a guest's device and for the driver of the machine's own.
/// </summary>
public static class VirtioRegisters
{
    public const ulong Magic = 0x000;
    public const ulong Version = 0x004;
    public const ulong DeviceId = 0x008;
    public const ulong VendorId = 0x00C;
    public const ulong DeviceFeatures = 0x010;
    public const ulong DeviceFeaturesSelect = 0x014;
    public const ulong DriverFeatures = 0x020;
    public const ulong DriverFeaturesSelect = 0x024;
    public const ulong QueueSelect = 0x030;
    public const ulong QueueSizeMax = 0x034;
    public const ulong QueueSize = 0x038;
    public const ulong QueueReady = 0x044;
    public const ulong QueueNotify = 0x050;
    public const ulong InterruptStatus = 0x060;
    public const ulong InterruptAcknowledge = 0x064;
    public const ulong Status = 0x070;
    public const ulong QueueDescriptors = 0x080;
    public const ulong QueueAvailable = 0x090;
    public const ulong QueueUsed = 0x0A0;
    public const ulong SharedMemoryFirst = 0x0B0;
    public const ulong SharedMemoryLast = 0x0BC;
    public const ulong ConfigGeneration = 0x0FC;

    /// <summary>Where the registers end and the device's configuration begins.</summary>
    public const ulong Configuration = 0x100;

    /// <summary>"virt": the first word.</summary>
    public const uint MagicValue = 0x7472_6976;

    /// <summary>The second word; 1 is the legacy interface, of before the standard.</summary>
    public const uint ModernVersion = 2;

    // The status (2.1). A driver adds bits, and takes none away but by a reset, which is 0.
    public const uint StatusAcknowledge = 1;
    public const uint StatusDriver = 2;
    public const uint StatusDriverOk = 4;
    public const uint StatusFeaturesOk = 8;
    public const uint StatusNeedsReset = 0x40;
    public const uint StatusFailed = 0x80;

    // Why the interrupt's line is up.
    public const uint InterruptUsed = 1;
    public const uint InterruptConfig = 2;

    // Features that any device may have (6).
    public const ulong FeatureIndirect = 1UL << 28;
    public const ulong FeatureEventIndex = 1UL << 29;
    public const ulong FeatureVersion1 = 1UL << 32;
}

/// <summary>Kinds of device (Virtual I/O Device 1.2, 5).</summary>
public static class VirtioKinds
{
    public const uint Net = 1;
    public const uint Block = 2;
    public const uint Console = 3;
    public const uint Entropy = 4;
    public const uint Socket = 19;
}
