using System;
using System.Collections.Generic;
using System.Linq;
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

    /// <summary>An eighth of the programs: VMs that share two pages of the file.</summary>
    private static readonly byte[] _sharing =
    [
        6, 10, 2, 10, 4, 4, 12, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 2, 8, 0, 0, 0, 0, 1, 3,
    ];

    /// <summary>Another: dirty logs that begin and end, so that blocks are split and made again.</summary>
    private static readonly byte[] _logging =
    [
        4, 8, 2, 4, 16, 1, 2, 2, 1, 0, 6, 4, 6, 2, 1, 1, 1,
    ];

    private static readonly byte[] _allPages = [.. Enumerable.Range(0, 64).Select(page => (byte)page)];
    private static readonly byte[] _sharedPages = [2, 6];
    private static readonly byte[] _blockPages = [1, 5, 9, 13];
    private static readonly Operation[] _wheel = MakeWheel(_weights);
    private static readonly Operation[] _sharingWheel = MakeWheel(_sharing);
    private static readonly Operation[] _loggingWheel = MakeWheel(_logging);

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
        int theme = random.Next(8);
        Operation[] wheel = theme switch { 0 => _sharingWheel, 1 => _loggingWheel, _ => _wheel };
        byte[] pages = theme switch { 0 => _sharedPages, 1 => _blockPages, _ => _allPages };
        var steps = new ProgramStep[count];
        for (int i = 0; i < count; i++)
        {
            int vm = random.Next(3);
            steps[i] = new ProgramStep(
                wheel[random.Next(wheel.Length)],
                (byte)random.Next(4),
                (byte)vm,
                pages[random.Next(pages.Length)],
                (byte)random.Next(8),
                (ushort)(random.Next(4) == 0 ? random.Next(1, 65536) : 0));
        }

        return steps;
    }

    private static Operation[] MakeWheel(byte[] weights)
    {
        var wheel = new List<Operation>();
        for (int operation = 0; operation < weights.Length; operation++)
        {
            for (int i = 0; i < weights[operation]; i++)
            {
                wheel.Add((Operation)operation);
            }
        }

        return [.. wheel];
    }
}
