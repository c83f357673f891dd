using Quietus.Hypervisor.Guests;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// The Power State Coordination Interface, version 1.1, as a guest sees it (Arm DEN 0022). The mandatory functions and
/// SYSTEM_RESET2; whatever else is asked for is NOT_SUPPORTED.
/// </summary>
public static class Psci
{
    /// <summary>PSCI_VERSION's answer: 1.1.</summary>
    public const uint Version = 0x1_0001;

    /// <summary>The call did what it should.</summary>
    public const long Success = 0;

    /// <summary>There is no such function.</summary>
    public const long NotSupported = -1;

    /// <summary>An argument has no meaning.</summary>
    public const long InvalidParameters = -2;

    /// <summary>The call may not be made now.</summary>
    public const long Denied = -3;

    /// <summary>The vCPU runs already.</summary>
    public const long AlreadyOn = -4;

    /// <summary>The vCPU is being started already.</summary>
    public const long OnPending = -5;

    /// <summary>An entry point is not in the guest's memory, or not aligned.</summary>
    public const long InvalidAddress = -9;

    private const uint VersionFunction = 0x8400_0000;
    private const uint CpuSuspend = 0x8400_0001;
    private const uint CpuOff = 0x8400_0002;
    private const uint CpuOn = 0x8400_0003;
    private const uint AffinityInfo = 0x8400_0004;
    private const uint MigrateInfoType = 0x8400_0006;
    private const uint SystemOff = 0x8400_0008;
    private const uint SystemReset = 0x8400_0009;
    private const uint Features = 0x8400_000A;
    private const uint SystemReset2 = 0x8400_0012;

    /// <summary>Bit 30 of a function's number: arguments are of 64 bits.</summary>
    private const uint Wide = 1U << 30;

    /// <summary>MIGRATE_INFO_TYPE's answer: there is no trusted OS, or none that needs to be migrated.</summary>
    private const long NothingToMigrate = 2;

    /// <summary>
    /// CPU_SUSPEND's power_state: everything but StateID (15..0) and StateType (16) must be 0 at level 0.
    /// </summary>
    private const ulong PowerStateMask = 0x1_FFFF;
    private const ulong PowerStatePowerDown = 1 << 16;

    /// <summary>Whether a function's number is in PSCI's range (0x84000000 to 0x8400001F, and of 64 bits).</summary>
    public static bool Owns(uint function) => (function & ~(Wide | 0x1F)) == VersionFunction;

    /// <summary>Carries a call out.</summary>
    /// <param name="call">The call; its X0 becomes the result, its action what the core must do.</param>
    /// <param name="power">The VM's power states.</param>
    /// <param name="self">The vCPU that calls.</param>
    /// <param name="memoryEnd">The address after the guest's memory.</param>
    public static void Handle(ref GuestCall call, ref VcpuPower power, int self, ulong memoryEnd)
    {
        uint function = (uint)call.X0;
        ulong mask = (function & Wide) != 0 ? ulong.MaxValue : uint.MaxValue;
        ulong first = call.X1 & mask;
        ulong second = call.X2 & mask;
        ulong third = call.X3 & mask;
        long result = Success;
        switch (function)
        {
            case VersionFunction:
                result = Version;
                break;
            case CpuSuspend or (CpuSuspend | Wide):
                result = Suspend(ref call, first, second, memoryEnd);
                break;
            case CpuOff:
                power.TurnOff(self);
                call.Action = GuestCallAction.CpuOff;
                break;
            case CpuOn or (CpuOn | Wide):
                result = Start(ref call, ref power, first, second, third, memoryEnd);
                break;
            case AffinityInfo or (AffinityInfo | Wide):
                // Levels above 0 are not required since version 1.0.
                result = first < (ulong)power.Count && second == 0
                    ? (long)power.StateOf((int)first)
                    : InvalidParameters;
                break;
            case MigrateInfoType:
                result = NothingToMigrate;
                break;
            case SystemOff:
                call.Action = GuestCallAction.SystemOff;
                break;
            case SystemReset:
                call.Action = GuestCallAction.SystemReset;
                break;
            case SystemReset2 or (SystemReset2 | Wide):
                // Reset type 0 is SYSTEM_WARM_RESET, the only one that the architecture defines.
                result = (uint)first == 0 ? Success : InvalidParameters;
                call.Action = (uint)first == 0 ? GuestCallAction.SystemReset : GuestCallAction.None;
                break;
            case Features:
                result = FeaturesOf((uint)first);
                break;
            default:
                result = NotSupported;
                break;
        }

        call.X0 = (ulong)result;
    }

    private static long Suspend(ref GuestCall call, ulong powerState, ulong entry, ulong memoryEnd)
    {
        if ((powerState & ~PowerStateMask) != 0)
        {
            return InvalidParameters;
        }

        // A power-down may be carried out as a standby, which returns instead of entering at the entry point; the
        // entry point must be good all the same.
        if ((powerState & PowerStatePowerDown) != 0 && !IsEntry(entry, memoryEnd))
        {
            return InvalidAddress;
        }

        call.Action = GuestCallAction.Suspend;
        return Success;
    }

    private static long Start(
        ref GuestCall call, ref VcpuPower power, ulong target, ulong entry, ulong context, ulong memoryEnd)
    {
        // A vCPU's affinity is its number in Aff0, and 0 everywhere else.
        if (target >= (ulong)power.Count)
        {
            return InvalidParameters;
        }

        if (!IsEntry(entry, memoryEnd))
        {
            return InvalidAddress;
        }

        switch (power.TryStart((int)target, entry, context))
        {
            case VcpuPowerState.On:
                return AlreadyOn;
            case VcpuPowerState.OnPending:
                return OnPending;
            default:
                call.Action = GuestCallAction.CpuOn;
                call.Target = (int)target;
                return Success;
        }
    }

    private static bool IsEntry(ulong entry, ulong memoryEnd) =>
        entry >= GuestMemoryMap.MemoryStart && entry < memoryEnd && entry % 4 == 0;

    /// <summary>
    /// PSCI_FEATURES: 0 for what there is; for CPU_SUSPEND that means the original format, no OS-initiated mode.
    /// </summary>
    private static long FeaturesOf(uint function) => function switch
    {
        VersionFunction or CpuSuspend or (CpuSuspend | Wide) or CpuOff or CpuOn or (CpuOn | Wide) or AffinityInfo
            or (AffinityInfo | Wide) or MigrateInfoType or SystemOff or SystemReset or SystemReset2
            or (SystemReset2 | Wide) or Features or Smccc.VersionFunction => Success,
        _ => NotSupported,
    };
}
