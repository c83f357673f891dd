using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Cores;

/// <summary>What every core but the monitor's does: wait for a vCPU, run it to its end, report, wait again.</summary>
/// <remarks>
/// Invariant: a core's record lasts as long as the machine runs, and a vCPU in it until this loop takes it out.
/// </remarks>
internal static unsafe class CoreLoop
{
    internal static void Run(Core* core)
    {
        while (true)
        {
            VcpuLoop.HaltAfterReport();
            Vcpu* vcpu = core->Vcpu;
            if (vcpu != null)
            {
                VcpuLoop.Run(core, vcpu);
                core->Vcpu = null;
                Platform.CoreAt(0)->Kick();
            }
            else if (!Scrubber.TryOne(core))
            {
                // An order is set before its kick, which stays pending until it is acknowledged here: none is missed.
                Instructions.WaitForInterrupt();
                DiscardInterrupts();
            }
        }
    }

    /// <summary>Acknowledges and ends whatever is pending. A kick says only: look again.</summary>
    internal static void DiscardInterrupts()
    {
        while (true)
        {
            ulong interrupt = Instructions.AcknowledgeInterrupt() & 0xFF_FFFF;
            if (interrupt >= PhysicalGic.FirstSpecial)
            {
                return;
            }

            Instructions.DropPriority(interrupt);
            Instructions.DeactivateInterrupt(interrupt);
        }
    }
}
