using Quietus.Probe.Linux;

namespace Quietus.Probe.Kvm;

/// <summary>
/// The vCPU of arm64: it starts at address 0 by itself, and its doorbell is a store to where nothing is.
/// </summary>
/// <remarks>Invariant: as the other part's; the parameters that are written lie behind the code in its page.</remarks>
internal unsafe partial struct Machine
{
    private const ulong InitializeVcpu = 0x4020AEAE; // KVM_ARM_VCPU_INIT
    private const ulong PreferredTarget = 0x8020AEAF; // KVM_ARM_PREFERRED_TARGET
    private const ulong GetRegister = 0x4010AEAB; // KVM_GET_ONE_REG
    private const ulong SystemRegister = 0x6030_0000_0013_0000; // op0:op1:CRn:CRm:op2 comes on top

    private const int AccessAddress = 32; // in struct kvm_run
    private const int AccessData = 40;
    private const int AccessIsWrite = 52;
    private const uint DeviceAccess = 6; // KVM_EXIT_MMIO

    /// <summary>Below 2^40, the least that KVM gives a VM, and above every slot.</summary>
    private const ulong Doorbell = 0xF0_0000_0000;

    /// <summary>Bytes at the memory's start that are the guest's own: its code.</summary>
    internal static ulong OwnBytes(ulong _) => Area.PageBytes;

    /// <summary>Writes the guest and what it is to touch: from its own bytes to the end.</summary>
    internal static void Load(in Area area)
    {
        int size = CopyCode(area.Start);
        ulong* parameters = (ulong*)(area.Start + (ulong)size - (3 * sizeof(ulong)));
        parameters[0] = OwnBytes(area.Bytes);
        parameters[1] = area.Bytes;
        parameters[2] = Doorbell;
    }

    /// <summary>A vCPU that is only to be asked for its registers.</summary>
    internal void PrepareOnly() => Prepare(default);

    private readonly void SetRegisters(in Area _)
    {
        ulong* target = stackalloc ulong[4];
        target[0] = target[1] = target[2] = target[3] = 0;
        Problem.Checked(SystemCalls.Control(vm, PreferredTarget, (ulong)target), "asking for a CPU model"u8);
        Problem.Checked(SystemCalls.Control(vcpu, InitializeVcpu, (ulong)target), "preparing the vCPU"u8);
    }

    private readonly bool IsDoorbell(ulong expected) =>
        *(uint*)(run + ExitReason) == DeviceAccess && *(ulong*)(run + AccessAddress) == Doorbell
        && run[AccessIsWrite] != 0 && *(ulong*)(run + AccessData) == expected;

    /// <summary>
    /// An ID register as a guest sees it, which is what a process without rights can know; 0 where KVM does not tell.
    /// </summary>
    /// <param name="encoding">op0:op1:CRn:CRm:op2, 16 bits.</param>
    internal readonly ulong ReadIdRegister(ulong encoding)
    {
        ulong value = 0;
        ulong* one = stackalloc ulong[2];
        one[0] = SystemRegister + encoding;
        one[1] = (ulong)&value;
        return SystemCalls.Control(vcpu, GetRegister, (ulong)one) < 0 ? 0 : value;
    }
}
