using Quietus.Hypervisor.Devices.Virtio;

namespace Quietus.Hypervisor.Tests.Devices.Virtio;

/// <summary>The driver's side of the registers (Virtual I/O Device 1.2, 3.1.1): for tests.</summary>
internal sealed class TransportDriver(GuestRam ram)
{
    private GuestRam.View _ram = new(ram);

    internal void Write(ref VirtioTransport transport, ulong offset, uint value) =>
        transport.Write(ref _ram, offset, 4, value);

    internal void Agree(ref VirtioTransport transport, ulong features)
    {
        Write(ref transport, 0x070, 1);
        Write(ref transport, 0x070, 3);
        Write(ref transport, 0x024, 0);
        Write(ref transport, 0x020, (uint)features);
        Write(ref transport, 0x024, 1);
        Write(ref transport, 0x020, (uint)(features >> 32));
        Write(ref transport, 0x070, 11);
    }

    internal void GiveQueue(ref VirtioTransport transport, int index, QueueDriver queue)
    {
        Write(ref transport, 0x030, (uint)index);
        Write(ref transport, 0x038, (uint)queue.Size);
        WriteAddress(ref transport, 0x080, queue.Descriptors);
        WriteAddress(ref transport, 0x090, queue.Available);
        WriteAddress(ref transport, 0x0A0, queue.Used);
        Write(ref transport, 0x044, 1);
    }

    internal void Notify(ref VirtioTransport transport, uint queue) => Write(ref transport, 0x050, queue);

    internal void Start(ref VirtioTransport transport, ulong features, params QueueDriver[] queues)
    {
        Agree(ref transport, features);
        for (int i = 0; i < queues.Length; i++)
        {
            GiveQueue(ref transport, i, queues[i]);
        }

        Write(ref transport, 0x070, 15);
    }

    private void WriteAddress(ref VirtioTransport transport, ulong offset, ulong address)
    {
        Write(ref transport, offset, (uint)address);
        Write(ref transport, offset + 4, (uint)(address >> 32));
    }
}
