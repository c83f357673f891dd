using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Guests;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// Places where QEMU's virt machine has a device and a guest here has none (<see cref="GuestMemoryMap"/>). A guest that
/// probes them finds the device absent; it does not die of it. Writes do nothing.
/// </summary>
public static class AbsentDevices
{
    /// <summary>Whether such a place is at an address.</summary>
    public static bool Contains(ulong address) =>
        address < GuestMemoryMap.FlashEnd
        || (address >= GuestMemoryMap.AbsentStart && address < GuestMemoryMap.AbsentEnd)
        || IsVirtio(address);

    /// <summary>What a read of 1 to 8 bytes at such a place gives.</summary>
    public static ulong Read(ulong address)
    {
        if (!IsVirtio(address))
        {
            return 0;
        }

        // A transport whose DeviceID is 0 has no device, and a driver ignores it (Virtual I/O Device 1.2, 4.2.2).
        return (address % GuestMemoryMap.VirtioBytes) switch
        {
            VirtioRegisters.Magic => VirtioRegisters.MagicValue,
            VirtioRegisters.Version => VirtioRegisters.ModernVersion,
            _ => 0,
        };
    }

    private static bool IsVirtio(ulong address) =>
        address >= GuestMemoryMap.VirtioStart && address < GuestMemoryMap.VirtioEnd;
}
