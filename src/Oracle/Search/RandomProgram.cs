using System;
using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>A program and its circumstances, both from a seed alone.</summary>
public static class RandomProgram
{
    /// <summary>How often each operation is chosen, in the order of their declaration.</summary>
    private static readonly byte[] _weights =
    [
        6, 10, 4, 12, 16, 4, 10, 6, 10, 2, 2, 3, 2, 3, 3, 3, 2, 3, 4, 3, 3, 3, 3, 2, 4,
    ];

    private static readonly Operation[] _wheel = MakeWheel();

    /// <summary>The circumstances that a seed stands for: every feature combination comes up.</summary>
    public static ProgramOptions Options(int seed, MaintenancePolicy policy)
    {
        var random = new Random(seed);
        return new ProgramOptions(
            policy,
            MachineFeatures.Number(random.Next(MachineFeatures.Count)),
            Pes: 1 + random.Next(3),
            Vms: 1 + random.Next(3),
            VmidBits: 2 + random.Next(2),
            PoolIsZero: random.Next(2) == 0,
            UncachedGuests: random.Next(3) != 0);
    }

    /// <summary>A program of a seed.</summary>
    public static ProgramStep[] Steps(int seed, int count)
    {
        var random = new Random(seed ^ 0x5EED);
        var steps = new ProgramStep[count];
        for (int i = 0; i < count; i++)
        {
            int vm = random.Next(3);
            steps[i] = new ProgramStep(
                _wheel[random.Next(_wheel.Length)],
                (byte)random.Next(4),
                (byte)vm,
                (byte)random.Next(64),
                (byte)random.Next(8),
                (ushort)(random.Next(4) == 0 ? random.Next(1, 65536) : 0));
        }

        return steps;
    }

    private static Operation[] MakeWheel()
    {
        var wheel = new List<Operation>();
        for (int operation = 0; operation < _weights.Length; operation++)
        {
            for (int i = 0; i < _weights[operation]; i++)
            {
                wheel.Add((Operation)operation);
            }
        }

        return [.. wheel];
    }
}
