using System.Runtime.CompilerServices;
using System.Threading;

namespace Quietus.Filler.Machine;

/// <summary>The GICv3 (IHI 0069), as little of it as timer and software-generated interrupts need.</summary>
internal static class Interrupts
{
    /// <summary>Private interrupts, the software-generated ones first.</summary>
    internal const int PrivateCount = 32;
    internal const int SoftwareCount = 16;

    /// <summary>ICC_SGI1R_EL1.IRM: to all cores but this.</summary>
    internal const ulong ToAllOthers = 1UL << 40;

    private const uint FirstSpecial = 1020;

    private const ulong DistributorControl = 0x0000;
    private const ulong SharedGroup = 0x0080;
    private const ulong SharedSetEnable = 0x0100;
    private const ulong SharedPriority = 0x0400;
    private const ulong SharedTrigger = 0x0C00;
    private const ulong RedistributorType = 0x0008;
    private const ulong PrivateGroup = 0x10080;
    private const ulong PrivateSetEnable = 0x10100;
    private const ulong PrivateClearEnable = 0x10180;
    private const ulong PrivateClearPending = 0x10280;
    private const ulong PrivatePriority = 0x10400;

    private const ulong WritePending = 1UL << 31;
    private const ulong AffinityRouting = 1UL << 4;
    private const ulong EnableGroup1 = 1UL << 1;
    private const ulong LastRedistributor = 1UL << 4;

    private static Counters _counts;
    private static int _sharedTaken;

    /// <summary>How many shared interrupts were taken, on all cores.</summary>
    internal static int SharedTaken => Volatile.Read(ref _sharedTaken);

    /// <summary>How often a core has taken an interrupt.</summary>
    internal static int Taken(int cpu, int interrupt) => Volatile.Read(ref _counts[(cpu * PrivateCount) + interrupt]);

    /// <summary>The distributor, and this core's part.</summary>
    internal static void Initialize()
    {
        EnableDistributor(true);
        InitializeCpu(Board.CurrentCpu());
    }

    /// <summary>
    /// Lets one shared interrupt come, as an edge, to the boot core: after a reset GICD_IROUTER names affinity 0.
    /// </summary>
    internal static void ListenForEdge(uint interrupt)
    {
        ulong word = interrupt / 32 * sizeof(uint);
        uint bit = 1U << (int)(interrupt % 32);
        Instructions.Store32(
            Board.Distributor + SharedTrigger + (interrupt / 16 * sizeof(uint)), 2U << (int)(interrupt % 16 * 2));
        Instructions.Store32(Board.Distributor + SharedGroup + word, bit);
        Instructions.Store32(Board.Distributor + SharedPriority + (interrupt & ~3U), 0xA0A0_A0A0);
        Instructions.Store32(Board.Distributor + SharedSetEnable + word, bit);
    }

    /// <summary>Whether the distributor forwards group 1 at all.</summary>
    internal static void EnableDistributor(bool enable)
    {
        Instructions.Store32(Board.Distributor + DistributorControl, AffinityRouting | (enable ? EnableGroup1 : 0));
        while ((Instructions.Load32(Board.Distributor + DistributorControl) & WritePending) != 0)
        {
        }
    }

    /// <summary>This core's redistributor and CPU interface.</summary>
    internal static void InitializeCpu(int cpu)
    {
        InitializeRedistributor(cpu);
        Instructions.EnableInterruptInterface();
    }

    /// <summary>
    /// A core's redistributor, for software-generated interrupts and the timers. It is not woken (GICR_WAKER): a
    /// guest's redistributors are awake.
    /// </summary>
    internal static void InitializeRedistributor(int cpu)
    {
        ulong frame = Redistributor(cpu);
        Instructions.Store32(frame + PrivateClearEnable, uint.MaxValue);
        Instructions.Store32(frame + PrivateClearPending, uint.MaxValue);
        Instructions.Store32(frame + PrivateGroup, uint.MaxValue);
        for (ulong i = 0; i < PrivateCount; i += 4)
        {
            Instructions.Store32(frame + PrivatePriority + i, 0xA0A0_A0A0);
        }

        const ulong Timers = (1UL << (int)Board.VirtualTimerInterrupt) | (1UL << (int)Board.PhysicalTimerInterrupt);
        Instructions.Store32(frame + PrivateSetEnable, 0xFFFF | Timers);
    }

    /// <summary>A core's redistributor frames, found by the affinity in GICR_TYPER.</summary>
    internal static ulong Redistributor(int cpu)
    {
        ulong affinity = Board.Affinity(cpu);
        ulong wanted = ((affinity >> 32) << 24) | (affinity & 0xFF_FFFF);
        ulong frame = Board.Redistributors;
        while (true)
        {
            ulong type = Instructions.Load64(frame + RedistributorType);
            if (type >> 32 == wanted || (type & LastRedistributor) != 0)
            {
                return frame;
            }

            frame += Board.RedistributorBytes;
        }
    }

    /// <summary>Sends a software-generated interrupt to one core (IHI 0069, ICC_SGI1R_EL1).</summary>
    internal static void Send(int cpu, int interrupt)
    {
        ulong affinity = Board.Affinity(cpu);
        Instructions.WriteSoftwareInterrupt(
            (((affinity >> 32) & 0xFF) << 48)
            | (((affinity >> 16) & 0xFF) << 32)
            | ((ulong)interrupt << 24)
            | (((affinity >> 8) & 0xFF) << 16)
            | ((affinity & 0xF0) << 40)
            | (1UL << (int)(affinity & 0xF)));
    }

    /// <summary>Takes and ends one interrupt: called from the exception handler.</summary>
    internal static void Take()
    {
        uint interrupt = (uint)Instructions.ReadInterruptAcknowledge() & 0xFF_FFFF;
        if (interrupt >= FirstSpecial)
        {
            return;
        }

        if (interrupt < PrivateCount)
        {
            Interlocked.Increment(ref _counts[(Board.CurrentCpu() * PrivateCount) + (int)interrupt]);
        }
        else
        {
            Interlocked.Increment(ref _sharedTaken);
        }

        if (interrupt == Board.VirtualTimerInterrupt)
        {
            VirtualTimer.Tick();
        }
        else if (interrupt == Board.PhysicalTimerInterrupt)
        {
            Instructions.WritePhysicalTimerControl(0);
        }

        Instructions.WriteInterruptEnd(interrupt);
    }

    [InlineArray(Board.MaximumCpus * PrivateCount)]
    private struct Counters
    {
        private int _first;
    }
}
