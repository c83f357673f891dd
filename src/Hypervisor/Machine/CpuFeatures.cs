using System.Numerics;
using Quietus.Hypervisor.Devices;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// What this machine's cores can do, read once from the boot core's ID registers. All cores are taken to be alike.
/// </summary>
internal static class CpuFeatures
{
    private static int _dataLineShift;
    private static ulong _zeroBlockBytes;
    private static bool _cleansByInvalidating;

    /// <summary>FEAT_S2FWB (ID_AA64MMFR2_EL1.FWB).</summary>
    internal static bool ForcedWriteBack { get; private set; }

    /// <summary>FEAT_TLBIRANGE (ID_AA64ISAR0_EL1.TLB = 2).</summary>
    internal static bool RangeInvalidation { get; private set; }

    /// <summary>FEAT_TTL (ID_AA64MMFR2_EL1.TTL).</summary>
    internal static bool LevelHint { get; private set; }

    /// <summary>FEAT_BBM (ID_AA64MMFR2_EL1.BBM). Level 2 is taken with its conflict aborts.</summary>
    internal static BreakBeforeMakeSupport BreakBeforeMake { get; private set; }

    /// <summary>FEAT_VMID16 (ID_AA64MMFR1_EL1.VMIDBits).</summary>
    internal static int VmidBits { get; private set; }

    /// <summary>Physical address bits, from ID_AA64MMFR0_EL1.PARange; at most 48 here.</summary>
    internal static int PhysicalAddressBits { get; private set; }

    /// <summary>PMUv3 is there, so that PMCCNTR_EL0 counts.</summary>
    internal static bool CycleCounter { get; private set; }

    /// <summary>Bytes of the smallest data cache line (CTR_EL0.DminLine).</summary>
    internal static uint DataLineBytes => 1u << _dataLineShift;

    /// <summary>Bytes of the smallest instruction cache line (CTR_EL0.IminLine).</summary>
    internal static uint InstructionLineBytes { get; private set; }

    /// <summary>CTR_EL0.DIC.</summary>
    internal static bool InstructionCacheCoherent { get; private set; }

    /// <summary>CTR_EL0.L1Ip is neither PIPT: lines of one physical address may stand at several places.</summary>
    internal static bool InstructionCacheAliases { get; private set; }

    /// <summary>DC ZVA zeroes just one line, so that it and DC CIVAC can go over a page together.</summary>
    internal static bool ZeroesByLine { get; private set; }

    /// <summary>Reads the ID registers of this core. Once, while text is still writable.</summary>
    internal static void Detect()
    {
        ulong control = Instructions.ReadCtr();
        _dataLineShift = 2 + (int)Field(control, 16);
        InstructionLineBytes = 4u << (int)Field(control, 0);
        InstructionCacheCoherent = (control & (1UL << 29)) != 0;
        const ulong PhysicallyIndexedAndTagged = 3;
        InstructionCacheAliases = ((control >> 14) & 3) != PhysicallyIndexedAndTagged;

        ulong zero = Instructions.ReadDczid();
        bool prohibited = (zero & 0x10) != 0;
        _zeroBlockBytes = prohibited ? 0 : 4UL << (int)(zero & 0xF);

        ZeroesByLine = _zeroBlockBytes == DataLineBytes;

        ulong model2 = Instructions.ReadIdAa64Mmfr2();
        ForcedWriteBack = Field(model2, 40) != 0;
        LevelHint = Field(model2, 48) != 0;
        BreakBeforeMake = Field(model2, 52) switch
        {
            0 => BreakBeforeMakeSupport.Level0,
            1 => BreakBeforeMakeSupport.Level1,
            _ => BreakBeforeMakeSupport.Level2,
        };
        RangeInvalidation = Field(Instructions.ReadIdAa64Isar0(), 56) >= 2;
        VmidBits = Field(Instructions.ReadIdAa64Mmfr1(), 4) >= 2 ? 16 : 8;
        PhysicalAddressBits = Field(Instructions.ReadIdAa64Mmfr0(), 0) switch
        {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            _ => 48,
        };
        ulong identity = Instructions.ReadMidr();
        if (CoreErrata.RepeatsInvalidation(identity))
        {
            Instructions.RepeatInvalidations();
        }

        _cleansByInvalidating = CoreErrata.CleansByInvalidating(identity);
        CycleCounter = Field(Instructions.ReadIdAa64Dfr0(), 8) is >= 1 and < 0xF;
    }

    /// <summary>Cleans lines to the PoC; the caller adds the DSB.</summary>
    internal static void CleanLines(ulong start, ulong lines)
    {
        if (_cleansByInvalidating)
        {
            Instructions.CleanInvalidateLines(start, lines, DataLineBytes);
        }
        else
        {
            Instructions.CleanLines(start, lines, DataLineBytes);
        }
    }

    /// <summary>Lines in a whole number of lines.</summary>
    internal static ulong DataLines(ulong bytes) => bytes >> _dataLineShift;

    /// <summary>
    /// Zeroes whole pages: by DC ZVA where it does more than a store of four vectors, 64 bytes, can; else by those,
    /// also where DC ZVA is prohibited (DCZID_EL0.DZP). For a block of 64 bytes DC ZVA takes two instructions, as its
    /// address does not move by itself.
    /// </summary>
    internal static void Zero(ulong address, ulong bytes)
    {
        const ulong StoreBytes = 64;
        if (_zeroBlockBytes <= StoreBytes)
        {
            Instructions.ZeroByStores(address, bytes);
            return;
        }

        Instructions.ZeroBlocks(address, bytes >> BitOperations.TrailingZeroCount(_zeroBlockBytes), _zeroBlockBytes);
    }

    private static ulong Field(ulong register, int shift) => (register >> shift) & 0xF;
}
