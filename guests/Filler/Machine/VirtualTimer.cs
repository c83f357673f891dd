using System.Threading;

namespace Quietus.Filler.Machine;

/// <summary>The virtual timer of the boot core: once, or in a period.</summary>
internal static class VirtualTimer
{
    private const ulong Enable = 1;
    private const ulong Condition = 4;

    private static ulong _deadline;
    private static ulong _period;

    /// <summary>Whether the deadline has passed, as the timer says.</summary>
    internal static bool HasFired => (Instructions.ReadVirtualTimerControl() & Condition) != 0;

    /// <summary>When it fires, by the virtual counter.</summary>
    internal static ulong Deadline => Volatile.Read(ref _deadline);

    /// <summary>Starts the timer, in ticks from now; with a period it starts itself again at each interrupt.</summary>
    internal static void Start(ulong ticks, ulong period)
    {
        Volatile.Write(ref _period, period);
        Volatile.Write(ref _deadline, Clock.Now + ticks);
        Instructions.WriteVirtualTimerDeadline(_deadline);
        Instructions.WriteVirtualTimerControl(Enable);
    }

    internal static void Stop() => Instructions.WriteVirtualTimerControl(0);

    /// <summary>The interrupt: the line must fall before it is ended.</summary>
    internal static void Tick()
    {
        if (_period == 0)
        {
            Stop();
            return;
        }

        _deadline += _period;
        Instructions.WriteVirtualTimerDeadline(_deadline);
    }
}
