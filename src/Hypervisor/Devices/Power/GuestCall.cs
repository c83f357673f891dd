namespace Quietus.Hypervisor.Devices;

/// <summary>What the core must do for a guest's call, besides giving it its result.</summary>
public enum GuestCallAction
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Wake the core of vCPU <see cref="GuestCall.Target"/>, which has been told to start.</summary>
    CpuOn,

    /// <summary>Stop this vCPU until it is told to start; the call does not return.</summary>
    CpuOff,

    /// <summary>Wait as for WFI, then return.</summary>
    Suspend,

    /// <summary>The VM ends: the guest has switched itself off.</summary>
    SystemOff,

    /// <summary>The VM ends: the guest wants to begin again.</summary>
    SystemReset,

    /// <summary>Tell the monitor <see cref="GuestCall.ReportKind"/> and <see cref="GuestCall.ReportValue"/>.</summary>
    Report,

    /// <summary>Freeze the VM: the call returns in each child, with its number.</summary>
    Freeze,

    /// <summary>Random bits, by <see cref="Trng.Finish"/>; as it stands the call says that there are none.</summary>
    Random,
}

/// <summary>Firmware workarounds for speculation that a machine's CPUs do not need, so that a guest may know.</summary>
[System.Flags]
public enum WorkaroundsNotRequired : uint
{
    /// <summary>Nothing is known: the guest is told that the calls are not supported.</summary>
    None = 0,

    /// <summary>SMCCC_ARCH_WORKAROUND_1: CVE-2017-5715.</summary>
    First = 1,

    /// <summary>SMCCC_ARCH_WORKAROUND_2: CVE-2018-3639.</summary>
    Second = 2,

    /// <summary>SMCCC_ARCH_WORKAROUND_3: CVE-2022-23960.</summary>
    Third = 4,
}

/// <summary>X0 to X3.</summary>
public struct GuestCallRegisters
{
    /// <summary>The function's number; afterwards the result.</summary>
    public ulong X0;

    /// <summary>First argument; changed only by calls that return more than one value.</summary>
    public ulong X1;

    /// <summary>Second argument.</summary>
    public ulong X2;

    /// <summary>Third argument.</summary>
    public ulong X3;
}

/// <summary>
/// One call of a guest by HVC or SMC, by the SMC Calling Convention (Arm DEN 0028): X0 to X3 as they came in, and
/// as they go out. X4 to X17 are not used and stay as they are.
/// </summary>
public struct GuestCall
{
    /// <summary>X0 to X3, which a caller moves in and out as one.</summary>
    public GuestCallRegisters Registers;

    /// <summary>What is to be done.</summary>
    public GuestCallAction Action;

    /// <summary>The vCPU that is to be started.</summary>
    public int Target;

    /// <summary>What kind of number the guest reports; of random bits, the most that there can be.</summary>
    public ulong ReportKind;

    /// <summary>The number that the guest reports; of random bits, how many.</summary>
    public ulong ReportValue;

    /// <inheritdoc cref="GuestCallRegisters.X0"/>
    public ulong X0
    {
        readonly get => Registers.X0;
        set => Registers.X0 = value;
    }

    /// <inheritdoc cref="GuestCallRegisters.X1"/>
    public ulong X1
    {
        readonly get => Registers.X1;
        set => Registers.X1 = value;
    }

    /// <inheritdoc cref="GuestCallRegisters.X2"/>
    public ulong X2
    {
        readonly get => Registers.X2;
        set => Registers.X2 = value;
    }

    /// <inheritdoc cref="GuestCallRegisters.X3"/>
    public ulong X3
    {
        readonly get => Registers.X3;
        set => Registers.X3 = value;
    }
}
