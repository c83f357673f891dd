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
                default:
                    CallPower();
                    break;
            }
        }
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
