using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Guests;

namespace Quietus.Hypervisor.Devices;

/// <summary>
/// A guest's calls by the SMC Calling Convention, version 1.1 (Arm DEN 0028): the architecture's own functions, PSCI,
/// and those of this hypervisor. A function that does not exist gives NOT_SUPPORTED (-1).
/// </summary>
public static class Smccc
{
    /// <summary>SMCCC_VERSION's answer: 1.1.</summary>
    public const uint Version = 0x1_0001;

    /// <summary>SMCCC_VERSION.</summary>
    public const uint VersionFunction = 0x8000_0000;

    /// <summary>Ours: the guest reports a number. X1 is its kind, X2 the number.</summary>
    public const uint ReportFunction = 0xC600_0001;

    /// <summary>
    /// Ours: the guest is ready to be a template. Returns in each child, with the child's number; DENIED (-3) in a VM
    /// that cannot be frozen.
    /// </summary>
    public const uint FreezeFunction = 0xC600_0002;

    /// <summary>PV_TIME_FEATURES (Arm DEN 0057): whether a function of paravirtualised time exists.</summary>
    private const uint TimeFeatures = 0xC500_0020;

    /// <summary>PV_TIME_ST: where the vCPU's structure of stolen time is.</summary>
    private const uint StolenTimePlace = 0xC500_0021;

    private const uint ArchitectureFeatures = 0x8000_0001;
    private const uint Workaround1 = 0x8000_8000;
    private const uint Workaround2 = 0x8000_7FFF;
    private const uint Workaround3 = 0x8000_3FFF;
    private const uint HypervisorCallCount = 0x8600_FF00;
    private const uint HypervisorUid = 0x8600_FF01;
    private const uint HypervisorRevision = 0x8600_FF03;

    /// <summary>The answer of SMCCC_ARCH_FEATURES for a workaround that may be called but does nothing.</summary>
    private const long NotRequired = 1;

    /// <summary>
    /// Who we are: UUID cd206eb8-d10f-49aa-9a16-6e1de1a94c3e, four bytes to a register, the first lowest.
    /// </summary>
    private const uint Uid0 = 0xB86E_20CD;
    private const uint Uid1 = 0xAA49_0FD1;
    private const uint Uid2 = 0x1D6E_169A;
    private const uint Uid3 = 0x3E4C_A9E1;

    /// <summary>Carries a guest's HVC or SMC out.</summary>
    /// <param name="call">X0 to X3; afterwards the results and what the core must do.</param>
    /// <param name="power">The VM's power states.</param>
    /// <param name="self">The vCPU that calls.</param>
    /// <param name="immediate">The instruction's immediate; the convention has 0 only.</param>
    /// <param name="memoryEnd">The address after the guest's memory.</param>
    /// <param name="notRequired">Which firmware workarounds this machine's CPUs do not need.</param>
    public static void Handle(
        ref GuestCall call,
        ref VcpuPower power,
        int self,
        uint immediate,
        ulong memoryEnd,
        WorkaroundsNotRequired notRequired)
    {
        call.Action = GuestCallAction.None;

        // The function's number is W0: the upper half of X0 has no meaning.
        uint function = (uint)call.X0;
        if (immediate != 0)
        {
            call.X0 = unchecked((ulong)Psci.NotSupported);
            return;
        }

        if (Psci.Owns(function))
        {
            Psci.Handle(ref call, ref power, self, memoryEnd);
            return;
        }

        switch (function)
        {
            case VersionFunction:
                call.X0 = Version;
                break;
            case ArchitectureFeatures or Workaround1 or Workaround2 or Workaround3:
                AnswerFeatures(ref call, function, notRequired);
                break;
            case ReportFunction:
                call.Action = GuestCallAction.Report;
                call.ReportKind = call.X1;
                call.ReportValue = call.X2;
                call.X0 = 0;
                break;
            case FreezeFunction:
                call.Action = GuestCallAction.Freeze;
                call.X0 = unchecked((ulong)Psci.Denied);
                break;
            case HypervisorCallCount:
                call.X0 = 2;
                break;
            case HypervisorUid:
                call.X0 = Uid0;
                call.X1 = Uid1;
                call.X2 = Uid2;
                call.X3 = Uid3;
                break;
            case HypervisorRevision:
                call.X0 = 0;
                call.X1 = 1;
                break;
            default:
                AnswerOthers(ref call, function, self);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AnswerOthers(ref GuestCall call, uint function, int self)
    {
        switch (function)
        {
            case TimeFeatures:
                call.X0 = (uint)call.X1 is TimeFeatures or StolenTimePlace
                    ? Psci.Success
                    : unchecked((ulong)Psci.NotSupported);
                break;
            case StolenTimePlace:
                call.X0 = GuestMemoryMap.StolenTimeStart + ((ulong)self * GuestMemoryMap.StolenTimeBytes);
                break;
            default:
                Trng.Handle(ref call);
                break;
        }
    }

    private static void AnswerFeatures(ref GuestCall call, uint function, WorkaroundsNotRequired notRequired)
    {
        long answer = FeaturesOf(function == ArchitectureFeatures ? (uint)call.X1 : function, notRequired);
        if (function != ArchitectureFeatures)
        {
            // The workaround itself is called: it does nothing.
            answer = answer == NotRequired ? Psci.Success : Psci.NotSupported;
        }

        call.X0 = (ulong)answer;
    }

    private static long FeaturesOf(uint function, WorkaroundsNotRequired notRequired) => function switch
    {
        VersionFunction or ArchitectureFeatures or TimeFeatures => Psci.Success,
        Workaround1 when (notRequired & WorkaroundsNotRequired.First) != 0 => NotRequired,
        Workaround2 when (notRequired & WorkaroundsNotRequired.Second) != 0 => NotRequired,
        Workaround3 when (notRequired & WorkaroundsNotRequired.Third) != 0 => NotRequired,
        _ => Psci.NotSupported,
    };
}
