using System;
using System.Linq;
using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>A program and its circumstances, both from a seed alone.</summary>
public static class RandomProgram
{
    /// <summary>
    /// What programs are about, in eighths. Each has few operations and few places, so that what is rare meets often:
    /// one wheel for everything finds almost nothing.
    /// </summary>
    private static readonly Theme[] _themes = [.. Enumerable.Range(0, 8).Select(ThemeOf)];

    /// <summary>The circumstances that a seed stands for: every feature combination comes up.</summary>
    public static ProgramOptions Options(int seed, MaintenancePolicy policy)
    {
        var random = new Random(seed);
        bool isAboutCaches = ThemeOfSeed(seed).IsAboutCaches;
        MachineFeatures features = MachineFeatures.Number(random.Next(MachineFeatures.Count));
        return new ProgramOptions(
            policy,
            isAboutCaches ? features with { ForcedWriteBack = false } : features,
            Pes: 1 + random.Next(3),
            Vms: 1 + random.Next(3),
            VmidBits: 2 + random.Next(2),
            PoolIsZero: random.Next(2) == 0,
            UncachedGuests: random.Next(3) != 0 || isAboutCaches,
            GranuleShift: 12 + (2 * (random.Next(4) switch { 0 => 1, 1 => 2, _ => 0 })));
    }

    /// <summary>A program of a seed.</summary>
    public static ProgramStep[] Steps(int seed, int count)
    {
        var random = new Random(seed ^ 0x5EED);
        Theme theme = ThemeOfSeed(seed);
        var steps = new ProgramStep[count];
        for (int i = 0; i < count; i++)
        {
            int vm = random.Next(3);
            steps[i] = new ProgramStep(
                theme.Wheel[random.Next(theme.Wheel.Length)],
                (byte)random.Next(4),
                (byte)vm,
                theme.Pages[random.Next(theme.Pages.Length)],
                (byte)random.Next(8),
                (ushort)(random.Next(4) == 0 ? random.Next(1, 65536) : 0));
        }

        return steps;
    }

    private static Theme ThemeOf(int eighth)
    {
        // In the order in which operations are declared: lives and accesses, the pool's, deaths, the host's, the rest.
        byte[] weights = eighth switch
        {
            <= 3 => [6, 10, 4, 12, 16, 4, 10, 6, 10, 2, 2, 3, 2, 3, 3, 3, 2, 3, 4, 3, 3, 3, 3, 2, 4],
            4 or 5 => [6, 10, 1, 14, 14, 16, 6, 5, 2, 1, 1, 1, 1, 1, 2, 1, 0, 0, 8, 0, 0, 0, 2, 3, 3, 10, 4],
            6 => [6, 10, 2, 8, 12, 2, 6, 2, 0, 1, 1, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 1, 1, 2, 1, 0, 10, 16],
            _ => [6, 10, 2, 10, 4, 4, 12, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 2, 8, 0, 0, 0, 0, 1, 3, 2],
        };
        byte[] all = [.. Enumerable.Range(0, 256).Select(page => (byte)page)];
        return new Theme(
            [.. weights.SelectMany((weight, operation) => Enumerable.Repeat((Operation)operation, weight))],
            eighth switch
            {
                <= 3 => all[..64],
                4 or 5 => [.. all[..4], .. all[64..72], .. all[64..68], .. all[64..68], .. all[64..68]],
                6 => [.. all[..64], .. all[64..72], .. all[64..72], .. all[64..72]],

                // Two pages of the file, which VMs share.
                _ => [2, 6, 2, 6, .. all[..8]],
            },
            IsAboutCaches: eighth is 4 or 7);
    }

    private static Theme ThemeOfSeed(int seed) => _themes[new Random(seed ^ 0x7EE3).Next(_themes.Length)];

    /// <summary>What the programs of a kind draw from.</summary>
    /// <param name="Wheel">Operations, each as often as it weighs.</param>
    /// <param name="Pages">Pages, likewise.</param>
    /// <param name="IsAboutCaches">On machines where guests can read past the caches, and do.</param>
    private sealed record Theme(Operation[] Wheel, byte[] Pages, bool IsAboutCaches);
}
