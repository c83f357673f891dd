using System.Runtime.CompilerServices;
using System.Threading;

namespace Quietus.Hypervisor.Devices;

public partial struct VirtualGic
{
    /// <summary>
    /// Whether there is nothing for a vCPU: none of its interrupts waits, is in a list register, or is linked to an
    /// active physical one. On the vCPU's own core, as after <see cref="NeedsAttention"/>; needs no lock.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsQuiet(int vcpu)
    {
        ref VcpuInterface self = ref vcpus[vcpu];
        return (Volatile.Read(ref self.Summary) | (uint)self.Used
            | self.Private.HardwareActive | self.Private.HardwareReleased) == 0;
    }
}
