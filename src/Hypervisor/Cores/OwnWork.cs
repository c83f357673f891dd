using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// What the cores execute at EL2: the hypervisor's share of the machine. An event counter of the PMU counts it, where
/// there is one that counts instructions (under QEMU: with <c>-icount</c>), so that it costs an exit nothing.
/// </summary>
/// <remarks>
/// QEMU's counter is one for all cores. While a core waits it would count what the others do, so each notes the count
/// before its wait, and begins anew after it.
/// Invariant: a core's record lasts as long as the machine runs.
/// </remarks>
internal static unsafe class OwnWork
{
    /// <summary>Whether it is counted; the same for all cores.</summary>
    internal static bool IsCounted { get; private set; }

    /// <summary>Instructions of all cores at EL2 since the boot, up to each one's last wait.</summary>
    internal static ulong Total
    {
        get
        {
            ulong sum = 0;
            for (int i = 0; i < Platform.CoreCount; i++)
            {
                sum += Platform.CoreAt(i)->OwnInstructions;
            }

            return sum;
        }
    }

    /// <summary>On each core, once its cycle counter is on.</summary>
    internal static void Begin(Core* core)
    {
        IsCounted = Instructions.OwnCounterExists() != 0;
        if (IsCounted)
        {
            Instructions.EnableOwnCounter();
            core->OwnCount = Instructions.ReadOwnCounter();
        }
    }

    /// <summary>Waits for an interrupt (WFI), and leaves the wait out.</summary>
    internal static void Wait(Core* core)
    {
        if (!IsCounted)
        {
            Instructions.WaitForInterrupt();
            return;
        }

        core->OwnInstructions += Instructions.ReadOwnCounter() - core->OwnCount;
        Instructions.WaitForInterrupt();
        core->OwnCount = Instructions.ReadOwnCounter();
    }
}
