namespace Quietus.Testing;

/// <summary>What a machine can be seen to do.</summary>
public enum MachineOperation
{
    WriteEntry,
    TakeTable,
    ReturnTable,
    TakeRoot,
    ReturnRoot,
    DsbInnerShareableStores,
    DsbInnerShareable,
    DsbFullSystem,
    Isb,
    InvalidateIpa,
    InvalidateIpaRange,
    InvalidateCombined,
    InvalidateVmid,
    CleanInvalidateToPoC,
    InvalidateInstructionCache,
}

/// <summary>One thing that a machine did, in order.</summary>
/// <param name="Address">An entry, table, IPA or memory address; 0 where there is none.</param>
/// <param name="Value">What was written; bytes of a range; the level hint of an invalidation by IPA.</param>
public readonly record struct MachineEvent(MachineOperation Operation, ulong Address = 0, ulong Value = 0);
