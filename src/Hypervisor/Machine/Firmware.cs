namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Calls to the machine's PSCI firmware (DEN0022), by SMC: a machine whose conduit is HVC has a hypervisor below us,
/// and is refused.
/// </summary>
internal static class Firmware
{
    private const ulong CpuOn64 = 0xC400_0003;
    private const ulong SystemOffFunction = 0x8400_0008;
    private const ulong PsciFeatures = 0x8400_000A;
    private const ulong CallingConventionVersion = 0x8000_0000;
    private const ulong ArchitectureFeatures = 0x8000_0001;
    private const ulong Workaround1 = 0x8000_8000;
    private const ulong Workaround3 = 0x8000_3FFF;

    /// <summary>
    /// CPU_ON: 0 when the core will start at <paramref name="entry"/> with <paramref name="context"/> in X0.
    /// </summary>
    internal static long TurnOn(ulong affinity, ulong entry, ulong context) =>
        (long)Instructions.CallFirmwareBySmc(CpuOn64, affinity, entry, context);

    /// <summary>SYSTEM_OFF. Returns only if the firmware refuses.</summary>
    internal static void TurnOffMachine() => Instructions.CallFirmwareBySmc(SystemOffFunction, 0, 0, 0);

    /// <summary>
    /// The call that this core needs at each exit from a guest, because its branch predictor does not keep contexts
    /// apart: SMCCC_ARCH_WORKAROUND_3, which does more, or 1 (DEN0028). 0: it needs none, or the firmware has none.
    /// </summary>
    internal static ulong BranchWorkaround()
    {
        bool hasFeatures = Call(PsciFeatures, CallingConventionVersion) >= 0
            && Call(CallingConventionVersion, 0) >= 0x1_0001;
        return !hasFeatures ? 0
            : Call(ArchitectureFeatures, Workaround3) == 0 ? Workaround3
            : Call(ArchitectureFeatures, Workaround1) == 0 ? Workaround1
            : 0;
    }

    /// <summary>A call whose result has 32 bits.</summary>
    private static int Call(ulong function, ulong argument) =>
        (int)Instructions.CallFirmwareBySmc(function, argument, 0, 0);
}
