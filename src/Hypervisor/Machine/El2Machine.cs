using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Machine;

/// <summary>What an <see cref="El2Machine"/> points at: one VM's share of the machine.</summary>
/// <remarks>Invariant: the pool is a static, which nothing moves.</remarks>
internal unsafe struct El2MachineState
{
    internal FramePool* Pool;
    internal VmFrames Frames;
    internal TlbHolders Holders;
    internal MaintenanceCounters Counters;
}

/// <summary>
/// The hardware boundary, by the real instructions. EL2 maps all RAM at its physical address, so a <see cref="Pa"/> is
/// a pointer. TLB operations act on the VMID in VTTBR_EL2: it is put there for the time, without a root, on a core that
/// runs no guest (HCR_EL2.VM is 0 there, so nothing walks).
/// </summary>
/// <remarks>
/// Invariant of the unsafe code: the state outlives the machine (both lie in the VM's slot); every address that the
/// engine hands in is a table page or a guest frame of this VM, or RAM that the pool manages, all identity-mapped.
/// </remarks>
internal readonly unsafe struct El2Machine(El2MachineState* state) : IMemoryMachine
{
    private const int VmidShift = 48;

    /// <summary>BADDR and CnP of VTTBR_EL2: zero where a VMID was put there for a TLB operation only.</summary>
    private const ulong RootMask = (1UL << VmidShift) - 1;

    private readonly El2MachineState* _state = state;

    public bool HasForcedWriteBack
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => CpuFeatures.ForcedWriteBack;
    }

    public bool HasRangeInvalidation
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => CpuFeatures.RangeInvalidation;
    }

    public bool HasLevelHint
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => CpuFeatures.LevelHint;
    }

    public BreakBeforeMakeSupport BreakBeforeMakeSupport => CpuFeatures.BreakBeforeMake;

    public bool HasInstructionCacheCoherency => CpuFeatures.InstructionCacheCoherent;

    public ref FramePool Pool
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref *_state->Pool;
    }

    public ref VmFrames Frames
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref _state->Frames;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong ReadEntry(Pa entry) => *(ulong*)entry.Value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteEntry(Pa entry, ulong value) => *(ulong*)entry.Value = value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool CompareExchangeEntry(Pa entry, ulong expected, ulong desired) =>
        Interlocked.CompareExchange(ref *(ulong*)entry.Value, desired, expected) == expected;

    public bool ReserveTables(uint count)
    {
        El2Machine self = this;
        return VmTables.Reserve(ref self, count);
    }

    public Pa TakeTable()
    {
        El2Machine self = this;
        return VmTables.Take(ref self);
    }

    public void ReturnTable(Pa table)
    {
        El2Machine self = this;
        VmTables.Return(ref self, table);
    }

    public static bool CanFork => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsShared(Pa memory) => Pool.IsOthers(in Frames, memory);

    public void CopyTable(Pa target, Pa source) =>
        Instructions.CopyPages(target.Value, source.Value, Frames.FrameBytes);

    public bool TakeRoot(uint tables, out Pa root)
    {
        El2Machine self = this;
        return VmTables.TakeRoot(ref self, tables, out root);
    }

    public void ReturnRoot(Pa root, uint tables)
    {
        El2Machine self = this;
        VmTables.ReturnRoot(ref self, root, tables);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void DsbInnerShareableStores()
    {
        _state->Counters.Dsb++;
        Instructions.DataSynchronizationIshSt();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void DsbInnerShareable()
    {
        _state->Counters.Dsb++;
        Instructions.DataSynchronizationIsh();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void DsbFullSystem()
    {
        _state->Counters.Dsb++;
        Instructions.DataSynchronizationSy();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Isb() => Instructions.InstructionSynchronization();

    public void InvalidateIpa(Vmid vmid, TlbiIpa ipa)
    {
        bool isLoaded = MakeCurrent(vmid);
        _state->Counters.TlbiIpa++;
        if (isLoaded && _state->Holders.IsAlone)
        {
            Instructions.InvalidateIpaHere(ipa.Operand);
        }
        else
        {
            Instructions.InvalidateIpa(ipa.Operand);
        }
    }

    public void InvalidateIpaRange(Vmid vmid, TlbiRange range)
    {
        MakeCurrent(vmid);
        _state->Counters.TlbiRange++;
        Instructions.InvalidateIpaRange(range.Operand);
    }

    public void InvalidateCombined(Vmid vmid)
    {
        bool isLoaded = MakeCurrent(vmid);
        if (isLoaded && _state->Holders.IsAlone)
        {
            _state->Counters.TlbiVmalle1++;
            Instructions.InvalidateStage1OfVmidHere();
        }
        else
        {
            CombinedEverywhere(isLoaded);
        }
    }

    public void InvalidateVmid(Vmid vmid)
    {
        MakeCurrent(vmid);
        _state->Counters.TlbiVmid++;
        Instructions.InvalidateVmid();
    }

    public void InvalidateAllVmids()
    {
        Instructions.DataSynchronizationIshSt();
        Instructions.InvalidateAllVmids();
        Instructions.InvalidateAllInstructions();
        Instructions.DataSynchronizationIsh();
        Instructions.InstructionSynchronization();
    }

    public void CleanInvalidateToPoC(Pa start, ulong bytes)
    {
        ulong lines = CpuFeatures.DataLines(bytes);
        _state->Counters.DataCacheLines += lines;
        Instructions.CleanInvalidateLines(start.Value, lines, CpuFeatures.DataLineBytes);
    }

    /// <summary>
    /// By line where lines have one place (PIPT); the whole instruction cache where they may have aliases.
    /// </summary>
    public void InvalidateInstructionCache(Pa start, ulong bytes)
    {
        // A block has 32,768 lines, which would keep a core from its orders: all at once, as Linux does beyond a limit.
        const ulong MostByLine = 64 * 1024;
        if (CpuFeatures.InstructionCacheAliases || bytes > MostByLine)
        {
            Instructions.InvalidateAllInstructions();
            return;
        }

        ulong line = CpuFeatures.InstructionLineBytes;
        Instructions.InvalidateInstructionLines(start.Value, bytes / line, line);
    }

    public void CopyFrame(Pa target, Pa source, ulong bytes) =>
        Instructions.CopyPages(target.Value, source.Value, bytes);

    public void ZeroFrame(Pa start, ulong bytes) => CpuFeatures.Zero(start.Value, bytes);

    public void ZeroFrameToPoC(Pa start, ulong bytes)
    {
        ulong lines = CpuFeatures.DataLines(bytes);
        if (CpuFeatures.ZeroesByLine)
        {
            _state->Counters.DataCacheLines += lines;
            Instructions.ZeroAndCleanLines(start.Value, lines, CpuFeatures.DataLineBytes);
        }
        else
        {
            ZeroFrame(start, bytes);
            CleanInvalidateToPoC(start, bytes);
        }
    }

    /// <summary>What cores kept that the vCPU has left goes with this one: the next needs no broadcast.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void CombinedEverywhere(bool isLoaded)
    {
        if (isLoaded && _state->Holders.TryBecomeAlone())
        {
            _state->Counters.TlbiVmid++;
            Instructions.InvalidateVmid();
        }
        else
        {
            _state->Counters.TlbiVmalle1++;
            Instructions.InvalidateStage1OfVmid();
        }
    }

    /// <summary>Answers whether this core has the VM loaded, and does not only borrow its VMID.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool MakeCurrent(Vmid vmid)
    {
        ulong current = Instructions.ReadVttbr();
        if (current >> VmidShift != vmid.Value)
        {
            Instructions.WriteVttbr((ulong)vmid.Value << VmidShift);
            return false;
        }

        return (current & RootMask) != 0;
    }
}
