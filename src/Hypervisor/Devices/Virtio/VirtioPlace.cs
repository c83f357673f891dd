using System;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// Which of the virtio-mmio places a device of a guest is at. A place's number gives its address and its interrupt
/// (<c>GuestMemoryMap</c>), and its bit in a VM's <c>VirtioWork</c>.
/// </summary>
public enum VirtioPlace
{
    /// <summary>Random numbers.</summary>
    Rng,

    /// <summary>A disk.</summary>
    Disk,

    /// <summary>A console.</summary>
    Console,

    /// <summary>Sockets.</summary>
    Vsock,

    /// <summary>A network.</summary>
    Net,

    /// <summary>How many places may have a device; the others are absent.</summary>
    Count,
}

/// <summary>What people call the places.</summary>
public static class VirtioPlaceNames
{
    /// <summary>The name of the device that can be there.</summary>
    public static ReadOnlySpan<byte> Name(this VirtioPlace place) => place switch
    {
        VirtioPlace.Rng => "rng"u8,
        VirtioPlace.Disk => "disk"u8,
        VirtioPlace.Console => "console"u8,
        VirtioPlace.Vsock => "vsock"u8,
        VirtioPlace.Net => "net"u8,
        _ => "none"u8,
    };
}
