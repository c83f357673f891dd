using Quietus.Hypervisor.Machine;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Vms;

/// <summary>
/// What it costs to map a page, the table operation alone: walk, write, barrier, now and then a new table. Measured on
/// a table of its own that no core ever loads, so that nothing else is in the figure.
/// </summary>
/// <remarks>Invariant: the static state's address is fixed; there is no collector to move it.</remarks>
internal static unsafe class MapMeasurement
{
    /// <summary>Pages that are mapped: 16 MB, in order, as a guest's first touches come.</summary>
    internal const ulong Calls = 4096;

    private static El2MachineState _state;

    /// <summary>Instructions for <see cref="Calls"/> pages; 0 when there was no memory for the tables.</summary>
    internal static ulong Run()
    {
        fixed (El2MachineState* state = &_state)
        {
            *state = default;
            state->Pool = Platform.PoolPointer;
            El2Machine machine = new(state);
            if (machine.Pool.Adopt(ref machine.Frames, Arm<Granule4K>.GranuleShift) != PoolResult.Ok)
            {
                return 0;
            }

            ulong instructions = Map(ref machine);
            machine.Pool.ReturnAll(ref machine.Frames);
            return instructions;
        }
    }

    private static ulong Map(ref El2Machine machine)
    {
        Stage2Result made = PageTable<Arm<Granule4K>, El2Machine>.Create(
            ref machine, VmTable.Geometry, default, out PageTable<Arm<Granule4K>, El2Machine> table);
        if (made != Stage2Result.Done)
        {
            return 0;
        }

        const ulong PageBytes = 1UL << 12;
        LeafAttributes attributes = new(true, true, true, MemoryType.NormalWriteBack);
        bool isComplete = true;
        ulong start = Stopwatch.Count();
        for (ulong address = 0; address < Calls * PageBytes; address += PageBytes)
        {
            Stage2Result mapped = table.Map(
                ref machine, new Ipa(address), new Pa(address), Stage2Geometry.LastLevel, attributes);
            isComplete &= mapped == Stage2Result.Done;
        }

        ulong instructions = Stopwatch.Count() - start;
        table.DestroyByOwner(ref machine);
        return isComplete ? instructions : 0;
    }
}
