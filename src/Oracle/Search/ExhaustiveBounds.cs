using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Oracle.Machines;
using Quietus.Oracle.Programs;
using Quietus.Stage2;

namespace Quietus.Oracle.Search;

/// <summary>How far an exhaustive search goes.</summary>
/// <param name="Pes">PEs that run guests, 1 to 4.</param>
/// <param name="Vms">VMs at a time, 1 to 3.</param>
/// <param name="Pages">Pages, 1 to 4: of the pool, of the file, anonymous, of block memory, in this order.</param>
/// <param name="Steps">Steps of a program at most, 1 to 20.</param>
/// <param name="Features">What the machine has.</param>
/// <param name="SplitsFaults">Faults are two steps, look-up and commit, with others in between.</param>
/// <param name="Forks">VMs become templates, have children, and are reset; pages are the pool's.</param>
/// <param name="Vcpus">vCPUs of a VM, 2 to 4, any of which a PE enters; 0: they are not told apart.</param>
public sealed record ExhaustiveBounds(
    int Pes, int Vms, int Pages, int Steps, MachineFeatures Features = default, bool SplitsFaults = false,
    bool Forks = false, int Vcpus = 0)
{
    /// <summary>A search's different steps at most: a program has a byte for each of its steps.</summary>
    public const int MostSteps = 256;

    /// <summary>One page of each kind, as steps name them.</summary>
    private static readonly byte[] _pages = [0, 2, 3, 1];

    /// <summary>
    /// The sets of features that differ in the maintenance they ask for: FEAT_S2FWB, FEAT_TLBIRANGE with FEAT_TTL, DIC
    /// and BBM level 2, each with and without.
    /// </summary>
    public static IReadOnlyList<MachineFeatures> FeatureSets { get; } =
    [
        .. Enumerable.Range(0, 16).Select(set => new MachineFeatures(
            (set & 1) != 0, (set & 2) != 0, (set & 2) != 0, (set & 4) != 0,
            (set & 8) != 0 ? BreakBeforeMakeSupport.Level2WithoutAbort : BreakBeforeMakeSupport.Level0)),
    ];

    /// <summary>
    /// Chunks of the pool: no more than the VMs need, so that what one gives back is what the next one gets.
    /// </summary>
    public int Chunks => Pages < _pages.Length ? Vms : 2 * Vms;

    /// <summary>Every step that a program may take.</summary>
    public IReadOnlyList<ProgramStep> Alphabet()
    {
        var all = new List<ProgramStep>();
        for (byte vm = 0; vm < Vms; vm++)
        {
            for (byte pe = 0; pe < Pes; pe++)
            {
                for (byte vcpu = 0; vcpu < Math.Max(1, Vcpus); vcpu++)
                {
                    all.Add(new(Operation.Enter, pe, vm, 0, vcpu, 0));
                }

                all.Add(new(Operation.Leave, pe, vm, 0, 0, 0));
                if (SplitsFaults)
                {
                    all.Add(new(Operation.EndFault, pe, vm, 0, 0, 0));
                }

                for (int page = 0; page < Pages; page++)
                {
                    if (SplitsFaults)
                    {
                        all.Add(new(Operation.BeginFault, pe, vm, _pages[page], 0, 0));
                    }

                    for (Operation access = Operation.Read; access <= Operation.WriteUncached; access++)
                    {
                        all.Add(new(access, pe, vm, _pages[page], 0, 0));
                    }
                }
            }

            if (Forks)
            {
                all.Add(new(Operation.Freeze, 0, vm, 0, 0, 0));
                all.Add(new(Operation.Reset, 0, vm, 0, 0, 0));
            }

            all.Add(new(Operation.Kill, 0, vm, 0, 0, 0));
            all.Add(new(Operation.KillLate, 0, vm, 0, 0, 0));
            for (int page = 0; page < Pages; page++)
            {
                AddChanges(all, vm, _pages[page]);
            }
        }

        for (byte parent = 0; Forks && parent < Vms; parent++)
        {
            all.Add(new(Operation.Fork, 0, 0, 0, parent, 0));
        }

        // Whichever VM's machine scrubs, it is the pool's chunk.
        for (byte vm = 0; vm < Vms; vm++)
        {
            all.Add(new(Operation.Scrub, 0, vm, 0, 0, 0));
        }

        return all;
    }

    private static void AddChanges(List<ProgramStep> all, byte vm, byte page)
    {
        ReadOnlySpan<Operation> changes = page switch
        {
            2 => [Operation.MunmapPinned, Operation.MunmapFile, Operation.Protect, Operation.WriteBack],
            3 => [Operation.MunmapAnonymous, Operation.Mremap, Operation.SwapOut, Operation.Migrate],
            _ => [Operation.UnmapPool],
        };
        foreach (Operation change in changes)
        {
            all.Add(new(change, 0, vm, page, page == 2 ? (byte)1 : (byte)0, 0));
        }
    }
}
