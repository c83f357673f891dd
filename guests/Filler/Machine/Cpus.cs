using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Filler.Tests;

namespace Quietus.Filler.Machine;

/// <summary>What a core that was started does.</summary>
internal enum CpuJob
{
    /// <summary>Takes what interrupts are pending, notes that it is there, and switches itself off.</summary>
    TurnOff,

    /// <summary>Takes interrupts, and sleeps in between.</summary>
    TakeInterrupts,

    /// <summary>Does its share of the fill, then what all cores do at the end.</summary>
    Fill,

    /// <summary>Resets the disk until it is told to stop, and switches itself off.</summary>
    ResetDisk,
}

/// <summary>The cores besides the first.</summary>
internal static class Cpus
{
    private static Counters _starts;
    private static CpuJob _job;

    /// <summary>How often a core has reached its C# code.</summary>
    internal static int Starts(int cpu) => Volatile.Read(ref _starts[cpu]);

    /// <summary>CPU_ON of a core with a job for it. All cores that start at the same time have the same job.</summary>
    /// <returns>PSCI's answer, 0 when the core will start.</returns>
    internal static long Start(int cpu, CpuJob job)
    {
        _job = job;
        Instructions.Synchronize();
        return Firmware.Call(
            Firmware.CpuOn, Board.Affinity(cpu), Instructions.SecondaryStart(), (ulong)cpu);
    }

    /// <summary>Starts every other core; false when one did not want.</summary>
    internal static bool StartAll(CpuJob job)
    {
        bool all = true;
        int self = Board.CurrentCpu();
        for (int cpu = 0; cpu < Board.CpuCount; cpu++)
        {
            all &= cpu == self || Start(cpu, job) == 0;
        }

        return all;
    }

    /// <summary>A core that PSCI started (Boot/Start.S).</summary>
    [RuntimeExport("filler_secondary")]
    private static void Run(ulong index)
    {
        int cpu = (int)index;
        CpuJob job = _job;
        if (job == CpuJob.TakeInterrupts)
        {
            Interrupts.InitializeCpu(cpu);
            Instructions.UnmaskInterrupts();
        }
        else if (job == CpuJob.TurnOff)
        {
            Instructions.EnableInterruptInterface();
            Instructions.UnmaskInterrupts();
            Instructions.Synchronize();
            Instructions.MaskInterrupts();
        }

        Interlocked.Increment(ref _starts[cpu]);
        switch (job)
        {
            case CpuJob.ResetDisk:
                DiskTests.KeepResetting();
                Firmware.Call(Firmware.CpuOff);
                break;
            case CpuJob.TurnOff:
                Firmware.Call(Firmware.CpuOff);
                break;
            case CpuJob.TakeInterrupts:
                while (true)
                {
                    Instructions.WaitForInterrupt();
                }

            case CpuJob.Fill:
                Filling.Share(cpu);
                Endings.OtherCpu(cpu);
                break;
        }

        Instructions.Halt();
    }

    [InlineArray(Board.MaximumCpus)]
    private struct Counters
    {
        private int _first;
    }
}
