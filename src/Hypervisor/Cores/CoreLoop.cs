using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// What every core but core 0 does (which has <see cref="Monitor.MonitorLoop"/>): run the vCPU whose turn it is, and
/// scrub or wait when there is none.
/// </summary>
/// <remarks>
/// Invariant: a core's record lasts as long as the machine runs, and a vCPU in it until this loop takes it out.
/// </remarks>
internal static unsafe class CoreLoop
{
    internal static void Run(Core* core)
    {
        Dispatcher.AddCore(core);
        core->IsOnline = true;
        while (true)
        {
            VcpuLoop.HaltAfterReport();
            if (core->Vcpu != null)
            {
                VcpuLoop.Run(core, core->Vcpu);
            }
            else if (core->MustSchedule)
            {
                Dispatcher.Look(core);
            }
            else if (!Scrubber.TryOne(core))
            {
                // An order is set before its kick, which stays pending until it is acknowledged here: none is missed.
                OwnWork.Wait(core);
                DiscardInterrupts(core);
            }
        }
    }

    /// <summary>Acknowledges and ends whatever is pending. A kick says only: look again.</summary>
    private static void DiscardInterrupts(Core* core)
    {
        while (true)
        {
            ulong interrupt = Instructions.AcknowledgeInterrupt() & 0xFF_FFFF;
            if (interrupt >= PhysicalGic.FirstSpecial)
            {
                return;
            }

            if (interrupt == Platform.Description.HypervisorTimerInterrupt)
            {
                core->NoteTimer();
                core->StopFiredTimer();
            }

            Instructions.DropPriority(interrupt);
            Instructions.DeactivateInterrupt(interrupt);
        }
    }
}
