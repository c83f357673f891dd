using System;
using Quietus.LinuxProgram;

namespace Quietus.Agent.Serving;

/// <summary>The kernel modules that the agent needs; each after those that it depends on.</summary>
internal static class Modules
{
    /// <summary>Loads what is there. A kernel that has one built in has no file of it.</summary>
    internal static void Load()
    {
        Load("/lib/quietus/virtio_ring.ko"u8);
        Load("/lib/quietus/virtio.ko"u8);
        Load("/lib/quietus/virtio_mmio.ko"u8);
        Load("/lib/quietus/vsock.ko"u8);
        Load("/lib/quietus/vmw_vsock_virtio_transport_common.ko"u8);
        Load("/lib/quietus/vmw_vsock_virtio_transport.ko"u8);
        LoadNetwork();
    }

    /// <summary>The network's, where the VM has one.</summary>
    internal static void LoadNetwork()
    {
        long there = SystemCalls.Open("/proc/device-tree/virtio_mmio@a000800/compatible"u8, 0);
        if (there >= 0)
        {
            SystemCalls.Close((int)there);
            Load("/lib/quietus/failover.ko"u8);
            Load("/lib/quietus/net_failover.ko"u8);
            Load("/lib/quietus/virtio_net.ko"u8);
        }
    }

    private static void Load(ReadOnlySpan<byte> path)
    {
        long file = SystemCalls.Open(path, 0);
        if (file < 0)
        {
            return;
        }

        long result = SystemCalls.LoadModule((int)file);
        SystemCalls.Close((int)file);
        if (result is < 0 and not SystemCalls.Exists)
        {
            Message.Say("the kernel does not load a module (is it another kernel's?):"u8);
            Message.Say(path);
        }
    }
}
