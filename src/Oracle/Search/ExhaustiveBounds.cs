using System.Collections.Generic;
using Quietus.Oracle.Programs;

namespace Quietus.Oracle.Search;

/// <summary>How far an exhaustive search goes.</summary>
/// <param name="Pes">PEs that run guests, 1 to 4.</param>
/// <param name="Vms">VMs at a time, 1 to 3.</param>
/// <param name="Pages">Pages, 1 to 4: of the pool, of the file, anonymous, of block memory, in this order.</param>
/// <param name="Steps">Steps of a program at most, 1 to 12.</param>
public sealed record ExhaustiveBounds(int Pes, int Vms, int Pages, int Steps)
{
    /// <summary>One page of each kind, as steps name them.</summary>
    private static readonly byte[] _pages = [0, 2, 3, 1];

    /// <summary>Every step that a program may take.</summary>
    public IReadOnlyList<ProgramStep> Alphabet()
    {
        var all = new List<ProgramStep>();
        for (byte vm = 0; vm < Vms; vm++)
        {
            for (byte pe = 0; pe < Pes; pe++)
            {
                all.Add(new(Operation.Enter, pe, vm, 0, 0, 0));
                all.Add(new(Operation.Leave, pe, vm, 0, 0, 0));
                for (int page = 0; page < Pages; page++)
                {
                    for (Operation access = Operation.Read; access <= Operation.WriteUncached; access++)
                    {
                        all.Add(new(access, pe, vm, _pages[page], 0, 0));
                    }
                }
            }

            all.Add(new(Operation.Kill, 0, vm, 0, 0, 0));
            all.Add(new(Operation.KillLate, 0, vm, 0, 0, 0));
            all.Add(new(Operation.Scrub, 0, vm, 0, 0, 0));
            for (int page = 0; page < Pages; page++)
            {
                AddChanges(all, vm, _pages[page]);
            }
        }

        return all;
    }

    private static void AddChanges(List<ProgramStep> all, byte vm, byte page)
    {
        Operation[] changes = page switch
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
