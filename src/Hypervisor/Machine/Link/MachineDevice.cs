using System;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Devices.Virtio;
using static Quietus.Hypervisor.Devices.Virtio.VirtioRegisters;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// The registers of a virtio device of the machine's, as their driver uses them: looked for once, by the device tree.
/// Only version 2 of the transport, and only where it is coherent (<c>dma-coherent</c>).
/// </summary>
/// <remarks>
/// Zeroed memory is no device. The address comes from the device tree and is mapped as Device memory.
/// </remarks>
internal readonly struct MachineDevice
{
    private const ulong RegisterBytes = 0x200;

    private readonly ulong _base;

    private MachineDevice(ulong start, uint interrupt)
    {
        _base = start;
        Interrupt = interrupt;
    }

    /// <summary>Whether there is one.</summary>
    internal bool Exists => _base != 0;

    /// <summary>Its interrupt, when it exists.</summary>
    internal uint Interrupt { get; }

    /// <summary>
    /// Looks for the first device of a kind, and maps it. EL2's own tables are in use, and no other core is.
    /// </summary>
    internal static MachineDevice Find(ReadOnlySpan<byte> deviceTree, uint kind)
    {
        if (FlatDeviceTree.Open(deviceTree, out FlatDeviceTree tree) != DeviceTreeError.None)
        {
            return default;
        }

        DeviceTreeNode node = tree.Root;
        while (tree.TryNext(node, out node))
        {
            if (MachineDescription.TryReadVirtio(ref tree, node, out AddressRange registers, out uint interrupt)
                && registers.Size >= RegisterBytes
                && Platform.TryMapDevice(registers)
                && Mmio.Read32(registers.Start + Magic) == MagicValue
                && Mmio.Read32(registers.Start + VirtioRegisters.Version) == ModernVersion
                && Mmio.Read32(registers.Start + DeviceId) == kind)
            {
                return new MachineDevice(registers.Start, interrupt);
            }
        }

        return default;
    }

    /// <summary>
    /// Resets it, and agrees with it on features; its queues come next, then <see cref="Start"/>. False: it lacks one.
    /// </summary>
    /// <param name="features">Features of its own, below 2^28.</param>
    internal bool TryReset(uint features)
    {
        Write(Status, 0);
        Write(Status, StatusAcknowledge | StatusDriver);
        Write(DeviceFeaturesSelect, 0);
        bool hasAll = (Read(DeviceFeatures) & features) == features;
        Write(DriverFeaturesSelect, 0);
        Write(DriverFeatures, features);
        Write(DriverFeaturesSelect, 1);
        Write(DriverFeatures, (uint)(FeatureVersion1 >> 32));
        Write(Status, StatusAcknowledge | StatusDriver | StatusFeaturesOk);
        return hasAll && Read(Status) == (StatusAcknowledge | StatusDriver | StatusFeaturesOk);
    }

    /// <summary>Gives it a queue. False: it has none there, or one that is too small.</summary>
    internal bool TryEnable(uint queue, in DriverQueue rings)
    {
        Write(QueueSelect, queue);
        if (Read(QueueSizeMax) < DriverQueue.Entries)
        {
            return false;
        }

        Write(QueueSize, DriverQueue.Entries);
        WriteAddress(QueueDescriptors, rings.Descriptors);
        WriteAddress(QueueAvailable, rings.Available);
        WriteAddress(QueueUsed, rings.Used);
        Write(QueueReady, 1);
        return Read(QueueReady) == 1;
    }

    /// <summary>It may begin.</summary>
    internal void Start() => Write(Status, StatusAcknowledge | StatusDriver | StatusFeaturesOk | StatusDriverOk);

    /// <summary>It stops, and touches no queue any more.</summary>
    internal void Stop() => Write(Status, 0);

    /// <summary>There is something new in a queue.</summary>
    internal void Notify(uint queue) => Write(QueueNotify, queue);

    /// <summary>A word of its configuration.</summary>
    internal uint ReadConfiguration(ulong offset) => Read(Configuration + offset);

    /// <summary>Acknowledges the interrupt. What it is about is in the queues.</summary>
    internal void AcknowledgeInterrupt() => Write(InterruptAcknowledge, Read(InterruptStatus));

    private void WriteAddress(ulong register, ulong address)
    {
        Write(register, (uint)address);
        Write(register + 4, (uint)(address >> 32));
    }

    private uint Read(ulong register) => Mmio.Read32(_base + register);

    private void Write(ulong register, uint value) => Mmio.Write32(_base + register, value);
}
