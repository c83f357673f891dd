using System;
using System.Linq;
using Quietus.Memory;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>A program and its circumstances, both from a seed alone.</summary>
public static class RandomProgram
{
    /// <summary>Every page of <see cref="ProgramStep"/> that names another place, with all of the huge file.</summary>
    private static readonly byte[] _all = [.. Enumerable.Range(0, 72).Select(page => (byte)page)];

    /// <summary>
    /// What programs are about, in 18ths. Each theme has few operations and few places, so that what is rare meets
    /// often: one wheel for everything finds almost nothing.
    /// </summary>
    private static readonly Theme[] _themes =
    [
        .. Enumerable.Repeat(Lives(), 6), .. Enumerable.Repeat(HostBlocks(isAboutCaches: true), 2),
        .. Enumerable.Repeat(HostBlocks(isAboutCaches: false), 2), .. Enumerable.Repeat(Parts(), 2),
        .. Enumerable.Repeat(Sharing(), 2), .. Enumerable.Repeat(Logging(), 2), .. Enumerable.Repeat(Rollover(), 2),
    ];

    /// <summary>Themes apart: of ten programs one is about forks, whatever the other nine are about.</summary>
    private static readonly Theme[] _forking = [Forking(isAboutCaches: false), Forking(isAboutCaches: true)];

    /// <summary>The circumstances that a seed stands for: every feature combination comes up.</summary>
    public static ProgramOptions Options(int seed, MaintenancePolicy policy)
    {
        var random = new Random(seed);
        Theme theme = ThemeOfSeed(seed);
        MachineFeatures features = MachineFeatures.Number(random.Next(MachineFeatures.Count));
        var options = new ProgramOptions(
            policy,
            theme.IsAboutCaches ? features with { ForcedWriteBack = false } : features,
            Pes: 1 + random.Next(3),
            Vms: 1 + random.Next(3) is int vms && theme.HasForks ? 3 : vms,
            VmidBits: 2 + random.Next(2),
            PoolIsZero: random.Next(2) == 0,
            UncachedGuests: random.Next(3) != 0 || theme.IsAboutCaches,
            GranuleShift: GranuleOf(random, theme),
            Chunks: theme.HasForks ? 5 + random.Next(8) : 8,
            Forks: theme.HasForks);

        // One more than PEs: on each of these, there is another one to choose. Or one: then TLBIs may be for one PE.
        bool hasOne = theme.HasForks && new Random(seed ^ 0x0E1E).Next(2) == 0;
        return options with { Vcpus = hasOne ? 1 : options.Pes + 1 };
    }

    /// <summary>
    /// A half of the programs have 4K, a quarter 16K and a quarter 64K. Where host's blocks are what it is about, most
    /// have 4K: of 32 MB or 512 MB the judge follows every page, and a step takes as long as many.
    /// </summary>
    private static int GranuleOf(Random random, Theme theme)
    {
        int shift = random.Next(4) switch { 0 => 14, 1 => 16, _ => 12 };
        int rarity = shift switch { 14 => 2, 16 => 12, _ => 1 };
        return theme.IsAboutBlocks && random.Next(rarity) != 0 ? 12 : shift;
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

    // How often each operation is chosen, in the order of their declaration: lives and accesses, the pool's, deaths and
    // scrubbing, the host's, the rest.

    /// <summary>A bit of everything, but for host's blocks.</summary>
    private static Theme Lives() => ThemeOf(
        [
            6, 10, 4, 12, 16, 4, 10, 6, 10, 2, 2, 3, 2, 3, 3, 3, 2, 3, 4, 3, 3, 3, 3, 2, 4,
            0, 0, 0, 0, 4, 4,
        ],
        _all[..64]);

    /// <summary>A file in huge pages, most of all its first block.</summary>
    private static Theme HostBlocks(bool isAboutCaches) => ThemeOf(
        [6, 10, 1, 14, 14, 16, 6, 5, 2, 1, 1, 1, 1, 1, 2, 1, 0, 0, 8, 0, 0, 0, 2, 3, 3, 10, 4, 0, 0, 4, 4],
        [.. _all[..4], .. _all[64..], .. _all[64..68], .. _all[64..68], .. _all[64..68]],
        isAboutCaches, isAboutBlocks: true);

    /// <summary>Ranges that go in several bounded calls, with everything else in between.</summary>
    private static Theme Parts() => ThemeOf(
        [6, 10, 2, 8, 12, 2, 6, 2, 0, 1, 1, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 1, 1, 2, 1, 0, 10, 16, 8, 8],
        [.. _all[..64], .. _all[64..], .. _all[64..], .. _all[64..]]);

    /// <summary>VMs that share two pages of the file.</summary>
    private static Theme Sharing() => ThemeOf(
        [6, 10, 2, 10, 4, 4, 12, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 2, 8, 0, 0, 0, 0, 1, 3, 2],
        [2, 6, 2, 6, .. _all[..8]], isAboutCaches: true);

    /// <summary>Dirty logs that begin and end, so that blocks are split and made again.</summary>
    private static Theme Logging() => ThemeOf(
        [4, 8, 2, 4, 16, 1, 2, 2, 1, 0, 6, 4, 6, 2, 1, 1, 1], [1, 5, 9, 13, 64, 65], isAboutBlocks: true);

    /// <summary>VMIDs are used up all the time, while VMs run on some PEs and not on others.</summary>
    private static Theme Rollover() => ThemeOf(
        [
            6, 20, 6, 2, 10, 0, 1, 1, 8, 0, 0, 0, 0, 0, 2, 2, 0, 0, 1, 2, 0, 0, 1, 0, 0,
            0, 0, 0, 0, 1, 1, 20,
        ],
        [0, 4, 1, 2, 3]);

    /// <summary>Templates, their children, and what children do to memory that is shared.</summary>
    private static Theme Forking(bool isAboutCaches) => ThemeOf(
        isAboutCaches
            ? [
                2, 30, 2, 16, 10, 14, 18, 2, 1, 0, 0, 0, 0, 1, 3, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 1, 1, 1, 3, 16, 2,
            ]
            : [
                2, 30, 3, 8, 16, 3, 3, 10, 3, 1, 1, 1, 1, 3, 3, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 1, 2, 6, 3, 2, 2, 16, 4,
            ],
        isAboutCaches ? [0, 4, 0, 4, 1] : [0, 0, 4, 1, 5, 13],
        isAboutCaches, hasForks: true);

    private static Theme ThemeOf(
        byte[] weights, byte[] pages, bool isAboutCaches = false, bool isAboutBlocks = false, bool hasForks = false) =>
        new(
            [.. weights.SelectMany((weight, operation) => Enumerable.Repeat((Operation)operation, weight))],
            pages, isAboutCaches, isAboutBlocks, hasForks);

    private static Theme ThemeOfSeed(int seed) => new Random(seed ^ 0xF0F4).Next(20) is int number and < 2
        ? _forking[number] : _themes[new Random(seed ^ 0x7EE3).Next(_themes.Length)];

    /// <summary>What the programs of a kind draw from.</summary>
    /// <param name="Wheel">Operations, each as often as it weighs.</param>
    /// <param name="Pages">Pages, likewise.</param>
    /// <param name="IsAboutCaches">On machines where guests can read past the caches, and do.</param>
    /// <param name="IsAboutBlocks">Most accesses are to blocks of the host's.</param>
    /// <param name="HasForks">VMs become templates, and have children.</param>
    private sealed record Theme(
        Operation[] Wheel, byte[] Pages, bool IsAboutCaches, bool IsAboutBlocks, bool HasForks);
}
