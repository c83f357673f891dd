using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>
/// Keeps the hypervisor busy for ever by one kind of exit, on every core that takes part: an order to stop must be
/// heard all the same, and soon.
/// </summary>
internal static class Storms
{
    /// <summary>Never returns.</summary>
    internal static void Run(Ending ending)
    {
        if (ending == Ending.AlarmStorm)
        {
            Interrupts.EnableDistributor(true);
            Interrupts.InitializeCpu(Board.CurrentCpu());
        }

        if (ending == Ending.VirtioStorm)
        {
            VirtioStorm.Run(Board.CurrentCpu());
        }

        while (true)
        {
            switch (ending)
            {
                case Ending.HvcStorm:
                    Firmware.Call(Firmware.CallingConventionVersion);
                    break;
                case Ending.SgiStorm:
                    SendToAll();
                    break;
                case Ending.UartStorm:
                    Terminal.Text("storm storm storm storm storm storm storm storm storm storm storm\n"u8);
                    break;
                case Ending.GicStorm:
                    _ = Instructions.Load32(Board.Distributor);
                    break;
                case Ending.AlarmStorm:
                    Doze();
                    break;
                case Ending.AbortStorm:
                    Exceptions.Current.Expecting = true;
                    Exceptions.Current.Count = 0;
                    _ = Instructions.Load32(Endings.Nowhere);
                    break;
                default:
                    CallPower();
                    break;
            }
        }
    }

    /// <summary>
    /// Sleeps until a timer's interrupt that is due at once, or nearly, and takes it: the shortest sleeps there are.
    /// </summary>
    private static void Doze()
    {
        const ulong Longest = 64;
        ulong now = Clock.Now;
        VirtualTimer.Start(now % Longest, 0);
        Instructions.WaitForInterrupt();
        Instructions.UnmaskInterrupts();
        Instructions.Synchronize();
        Instructions.MaskInterrupts();
    }

    private static void SendToAll()
    {
        for (ulong interrupt = 0; interrupt < Interrupts.SoftwareCount; interrupt++)
        {
            Instructions.WriteSoftwareInterrupt(Interrupts.ToAllOthers | (interrupt << 24));
        }
    }

    private static void CallPower()
    {
        for (int cpu = 0; cpu < Board.CpuCount; cpu++)
        {
            Firmware.Call(Firmware.CpuOn, Board.Affinity(cpu), Instructions.SecondaryStart(), 0);
            Firmware.Call(Firmware.AffinityInfo, Board.Affinity(cpu));
        }
    }
}
