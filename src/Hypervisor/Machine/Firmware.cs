namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Calls to the machine's PSCI firmware (DEN0022), by SMC: a machine whose conduit is HVC has a hypervisor below us,
/// and is refused.
/// </summary>
internal static class Firmware
{
    private const ulong CpuOn64 = 0xC400_0003;
    private const ulong SystemOffFunction = 0x8400_0008;

    /// <summary>
    /// CPU_ON: 0 when the core will start at <paramref name="entry"/> with <paramref name="context"/> in X0.
    /// </summary>
    internal static long TurnOn(ulong affinity, ulong entry, ulong context) =>
        (long)Instructions.CallFirmwareBySmc(CpuOn64, affinity, entry, context);

    /// <summary>SYSTEM_OFF. Returns only if the firmware refuses.</summary>
    internal static void TurnOffMachine() => Instructions.CallFirmwareBySmc(SystemOffFunction, 0, 0, 0);
}
