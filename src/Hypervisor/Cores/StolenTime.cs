using System.Threading;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// What a guest is told of the time that its vCPUs waited for a core while they could have run: a structure of 64 bytes
/// for each (Arm DEN 0057, PV_TIME_ST), in a page of the VM's own. There is none until the guest looks; then each turn
/// of a vCPU begins with the sum.
/// </summary>
/// <remarks>
/// <para>EL2 writes the page and never reads it, so nothing that a guest writes there matters. The guest maps it as
/// Normal memory, write-back, as DEN 0057 says, and sees EL2's cacheable stores without maintenance. One that maps it
/// otherwise sees older values of its own. The frame is the VM's like any other: it goes with the VM's chunks, dirty,
/// and is overwritten and cleaned before another VM has it.</para>
/// Invariant of the pointers: a VM's page stays its own until its vCPUs have left their cores.
/// </remarks>
internal static unsafe class StolenTime
{
    private const ulong TimeOffset = 8;

    /// <summary>
    /// Fills a page of zeroes that is about to be the guest's: revision 0 and no attributes are there already.
    /// </summary>
    internal static void Fill(Vm* vm, ulong page)
    {
        for (int i = 0; i < vm->Options.VcpuCount; i++)
        {
            Write(page, vm->VcpuAt(i));
        }
    }

    /// <summary>The vCPU begins a turn.</summary>
    internal static void Tell(Vcpu* vcpu)
    {
        ulong page = vcpu->Vm->StolenTimePage;
        if (page != 0)
        {
            Write(page, vcpu);
        }
    }

    /// <summary>
    /// The vCPU begins where another one, or itself, was frozen: what was stolen until then stays so.
    /// </summary>
    internal static void Inherit(Vcpu* vcpu, Vcpu* from) =>
        vcpu->StolenBefore = from->StolenBefore + from->Turn.WaitedTicks;

    private static void Write(ulong page, Vcpu* vcpu)
    {
        ulong* time = (ulong*)(page + ((ulong)vcpu->Index * GuestMemoryMap.StolenTimeBytes) + TimeOffset);
        Volatile.Write(ref *time, Stopwatch.ToNanoseconds(vcpu->StolenBefore + vcpu->Turn.WaitedTicks));
    }
}
