using System;
using Quietus.Filler.Machine;
using Quietus.Filler.Tests;

namespace Quietus.Filler;

/// <summary>How the guest ends, or goes on for ever.</summary>
internal static class Endings
{
    /// <summary>Above the RAM of any VM, below the end of a 36-bit space: nothing is there.</summary>
    internal const ulong Nowhere = 0xF_F000_0000;

    private static Ending _ending;

    /// <summary>What the other cores do after their share, decided before they start.</summary>
    internal static void Prepare(Ending ending) => _ending = ending;

    /// <summary>The boot core's end.</summary>
    internal static void Run(Ending ending)
    {
        switch (ending)
        {
            case Ending.Spin:
                Filling.Spin(Board.CurrentCpu());
                break;
            case Ending.Off:
                Firmware.TurnOff();
                break;
            case Ending.Reset:
                Firmware.Call(Firmware.SystemReset);
                break;
            case Ending.Crash:
                Terminal.Line("crashing"u8);
                Instructions.Crash(Nowhere);
                break;
            case Ending.Garbage:
                PrintGarbage();
                break;
            case Ending.Timer:
                InterruptTests.CountTicks();
                break;
            case Ending.Witness:
                Witness.Run(Board.CurrentCpu());
                break;
            case Ending.Work:
                Work.Run(Board.CurrentCpu());
                break;
            case Ending.Turns:
                Turns.Watch();
                break;
            case Ending.Naps:
                Naps.Run();
                break;
            case >= Ending.HvcStorm:
                Storms.Run(ending);
                break;
        }

        while (true)
        {
            Instructions.WaitForInterrupt();
        }
    }

    /// <summary>Another core's end.</summary>
    internal static void OtherCpu(int cpu)
    {
        switch (_ending)
        {
            case Ending.Spin:
                Filling.Spin(cpu);
                break;
            case Ending.Witness:
                Witness.Run(cpu);
                break;
            case Ending.Work:
                Work.Run(cpu);
                break;
            case Ending.Naps:
                Naps.Answer(cpu);
                break;
            case >= Ending.HvcStorm:
                Storms.Run(_ending);
                break;
        }
    }

    /// <summary>
    /// Random bytes, and among them what a reader of the hypervisor's output could take for its own: frame delimiters,
    /// channel numbers, prompts, replies and events.
    /// </summary>
    private static void PrintGarbage()
    {
        RandomNumbers random = new(Clock.Now);
        while (true)
        {
            ulong number = random.Next();
            switch (number >> 60)
            {
                case 0:
                    Terminal.Text("\r\nok vm=1\r\nquietus> "u8);
                    break;
                case 1:
                    Terminal.Text("\0\u0006\u0002\u0001event=ready\n\0"u8);
                    break;
                case 2:
                    Terminal.Text("\0\0\0error code=none message=\"\n"u8);
                    break;
                case 3:
                    Terminal.Text("event=state vm=1 state=stopped\n\u001b[2J\0\u0001\u0003\0"u8);
                    break;
                default:
                    for (int i = 0; i < 7; i++)
                    {
                        Terminal.Byte((byte)(number >> (8 * i)));
                    }

                    break;
            }
        }
    }
}
