using System;
using System.Collections.Generic;
using System.Linq;

namespace Quietus.Hypervisor.Tests.Devices;

/// <summary>Pending and active as the GIC architecture defines them, without list registers.</summary>
internal sealed class GicModel
{
    public bool[] Enabled { get; } = [.. Enumerable.Range(0, 96).Select(i => i < 16)];
    public bool[] Latch { get; } = new bool[96];
    public bool[] Level { get; } = new bool[96];
    public bool[] Edge { get; } = [.. Enumerable.Range(0, 96).Select(i => i < 16)];
    public bool[] Active { get; } = new bool[96];
    public byte[] Priority { get; } = new byte[96];
    public Stack<(uint Interrupt, int Priority)> Running { get; } = new();

    public bool IsPending(int i) => Latch[i] || (Level[i] && !Edge[i]);

    public void SetLine(uint interrupt, bool asserted)
    {
        Latch[interrupt] |= asserted && !Level[interrupt] && Edge[interrupt];
        Level[interrupt] = asserted;
    }

    public bool AnyDeliverable() => Enumerable.Range(0, 96).Any(i => IsPending(i) && Enabled[i] && !Active[i]);

    public uint Acknowledge()
    {
        // A changed priority does not change the running one's in the hardware, but does so in a list register
        // that is loaded again: the model goes by the present ones.
        int running = Running.Count == 0 ? 0x100 : Running.Min(entry => Priority[entry.Interrupt]);
        int best = -1;
        for (int i = 0; i < 96; i++)
        {
            if (IsPending(i) && Enabled[i] && !Active[i] && Priority[i] < running
                && (best < 0 || Priority[i] < Priority[best]))
            {
                best = i;
            }
        }

        if (best < 0)
        {
            return VirtualCpu.Spurious;
        }

        Latch[best] = false;
        Active[best] = true;
        Running.Push(((uint)best, Priority[best]));
        return (uint)best;
    }

    /// <summary>The guest ends the active interrupt of the highest priority.</summary>
    public uint End()
    {
        uint interrupt = Running.OrderBy(entry => Priority[entry.Interrupt]).ThenBy(entry => entry.Interrupt)
            .First().Interrupt;
        var rest = Running.Where(entry => entry.Interrupt != interrupt).Reverse().ToArray();
        Running.Clear();
        foreach ((uint Interrupt, int Priority) entry in rest)
        {
            Running.Push(entry);
        }

        Active[interrupt] = false;
        return interrupt;
    }

    public static ulong Bits(int first, Func<int, bool> of)
    {
        uint bits = 0;
        for (int i = 0; i < 32; i++)
        {
            bits |= of(first + i) ? 1U << i : 0;
        }

        return bits;
    }
}
