using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Quietus.KvmProbe.Linux;

namespace Quietus.KvmProbe.Kvm;

/// <summary>
/// A virtual machine of KVM with one vCPU and one memory slot at address 0, where the vCPU starts (Documentation/virt/
/// kvm/api.rst). It has no interrupt controller and no device: what its death costs is a lower bound.
/// </summary>
/// <remarks>
/// Invariant: the run structure is the vCPU's, mapped until <see cref="Close"/>; the memory outlives the slot or is
/// unmapped on purpose.
/// </remarks>
internal unsafe partial struct VirtualMachine
{
    // Requests of ioctl(2), include/uapi/linux/kvm.h.
    private const ulong CreateVm = 0xAE01;
    private const ulong RunBytes = 0xAE04; // KVM_GET_VCPU_MMAP_SIZE
    private const ulong CreateVcpu = 0xAE41;
    private const ulong SetMemory = 0x4020AE46; // KVM_SET_USER_MEMORY_REGION
    private const ulong RunVcpu = 0xAE80;
    private const ulong InitializeVcpu = 0x4020AEAE; // KVM_ARM_VCPU_INIT
    private const ulong PreferredTarget = 0x8020AEAF; // KVM_ARM_PREFERRED_TARGET

    // struct kvm_run: what the vCPU stopped for.
    private const int ExitReason = 8;
    private const int AccessAddress = 32;
    private const int AccessData = 40;
    private const int AccessIsWrite = 52;
    private const uint DeviceAccess = 6; // KVM_EXIT_MMIO

    /// <summary>Where the guest's last store goes: below 2^40, and above every slot.</summary>
    private const ulong Doorbell = 0xF0_0000_0000;

    // Registers by number, and 16 bytes that hold one's number and where its value is.
    private const ulong SetRegister = 0x4010AEAC; // KVM_SET_ONE_REG
    private const ulong CoreRegister = 0x6030_0000_0010_0000; // the offset in struct kvm_regs, by 4 bytes, comes on top
    private const ulong StackPointer = 62;
    private const ulong ProgramCounter = 64;
    private const ulong ProcessorState = 66;
    private const ulong AtEl1Masked = 0x3C5; // EL1h, D, A, I, F

    private const ulong ReadWrite = 3;
    private const ulong Shared = 1;
    private const int ParameterBytes = 24;

    private static int kvm = -1;

    private int vm;
    private int vcpu;
    private byte* run;
    private ulong runBytes;

    /// <summary>Opens /dev/kvm.</summary>
    internal static void SetUp() => kvm = (int)Failure.Checked(
        SystemCalls.Open("/dev/kvm"u8, SystemCalls.ReadWrite), "opening /dev/kvm"u8);

    /// <summary>Makes a VM over the memory, with the guest's code at its start.</summary>
    /// <param name="memory">All of the VM's memory.</param>
    /// <param name="fillBytes">How much of it the guest writes; its code's page counts.</param>
    internal static VirtualMachine Create(in Memory memory, ulong fillBytes)
    {
        VirtualMachine made = CreateEmpty(memory);
        ulong size = SizeOfGuest();
        var code = new ReadOnlySpan<byte>((void*)AddressOfGuest(), (int)size);
        code.CopyTo(new Span<byte>((void*)memory.Start, (int)size));
        ulong* parameters = (ulong*)(memory.Start + size - ParameterBytes);
        parameters[0] = Options.PageBytes;
        parameters[1] = fillBytes;
        parameters[2] = Doorbell;
        return made;
    }

    /// <summary>Makes a VM over memory as it is; its vCPU begins at address 0.</summary>
    internal static VirtualMachine CreateEmpty(in Memory memory)
    {
        VirtualMachine made = default;
        made.vm = (int)Failure.Checked(SystemCalls.Control(kvm, CreateVm, 0), "creating a VM"u8);
        made.SetSlot(memory, memory.Bytes);
        made.vcpu = (int)Failure.Checked(SystemCalls.Control(made.vm, CreateVcpu, 0), "creating a vCPU"u8);
        made.runBytes = Failure.Checked(SystemCalls.Control(kvm, RunBytes, 0), "asking for the run structure"u8);
        made.run = (byte*)Failure.Checked(
            SystemCalls.MapMemory(made.runBytes, ReadWrite, Shared, made.vcpu), "mapping the run structure"u8);
        ulong* target = stackalloc ulong[4];
        target[0] = target[1] = target[2] = target[3] = 0;
        Failure.Checked(SystemCalls.Control(made.vm, PreferredTarget, (ulong)target), "asking for a CPU model"u8);
        Failure.Checked(SystemCalls.Control(made.vcpu, InitializeVcpu, (ulong)target), "preparing the vCPU"u8);
        return made;
    }

    /// <summary>Puts the guest that children of a snapshot run at the memory's start.</summary>
    internal static void WriteChildCode(in Memory memory)
    {
        int size = (int)SizeOfChild();
        var code = new ReadOnlySpan<byte>((void*)AddressOfChild(), size);
        code.CopyTo(new Span<byte>((void*)memory.Start, size));
    }

    /// <summary>
    /// Restores the core registers, one call for each, as a monitor does: the general ones, SP_EL0, PC and PSTATE.
    /// </summary>
    internal readonly void RestoreCore()
    {
        for (ulong i = 0; i < 31; i++)
        {
            SetCore(2 * i, i == 2 ? Doorbell : 0);
        }

        SetCore(StackPointer, 0);
        SetCore(ProgramCounter, 0);
        SetCore(ProcessorState, AtEl1Masked);
    }

    /// <summary>Tells a child that waits at its doorbell what to touch next: one access for each page.</summary>
    internal readonly void SetWork(ulong start, ulong end, bool isWrite)
    {
        SetCore(0, start);
        SetCore(2, end);
        SetCore(8, isWrite ? 1UL : 0);
        SetCore(10, Options.PageBytes);
    }

    /// <summary>Sets one register by its number and a value in memory; Linux's answer.</summary>
    internal readonly long SetOne(ulong number, void* value)
    {
        ulong* one = stackalloc ulong[2];
        one[0] = number;
        one[1] = (ulong)value;
        return SystemCalls.Control(vcpu, SetRegister, (ulong)one);
    }

    private readonly void SetCore(ulong offset, ulong value) =>
        Failure.Checked(SetOne(CoreRegister + offset, &value), "setting a register"u8);

    /// <summary>Makes the slot, or takes it away when <paramref name="bytes"/> is 0.</summary>
    internal readonly void SetSlot(in Memory memory, ulong bytes)
    {
        // slot and flags, guest address, size, our address
        ulong* region = stackalloc ulong[4];
        region[0] = 0;
        region[1] = 0;
        region[2] = bytes;
        region[3] = memory.Start;
        Failure.Checked(SystemCalls.Control(vm, SetMemory, (ulong)region), "setting the memory slot"u8);
    }

    /// <summary>
    /// Runs the vCPU until the guest says where it has come to: the end of what it was to touch, or 0 at a birth.
    /// </summary>
    internal readonly void RunToDoorbell(ulong expected)
    {
        long result;
        do
        {
            result = SystemCalls.Control(vcpu, RunVcpu, 0);
        }
        while (result == SystemCalls.Interrupted);

        Failure.Checked(result, "running the vCPU"u8);
        uint reason = *(uint*)(run + ExitReason);
        if (reason != DeviceAccess || *(ulong*)(run + AccessAddress) != Doorbell || run[AccessIsWrite] == 0
            || *(ulong*)(run + AccessData) != expected)
        {
            Failure.Stop("the guest stopped for another reason than it has"u8, default, reason);
        }
    }

    /// <summary>Gives up everything that holds the VM: with the last of it KVM destroys the VM.</summary>
    internal readonly void Close()
    {
        Failure.Checked(SystemCalls.UnmapMemory((ulong)run, runBytes), "unmapping the run structure"u8);
        Failure.Checked(SystemCalls.Close(vcpu), "closing the vCPU"u8);
        Failure.Checked(SystemCalls.Close(vm), "closing the VM"u8);
    }

    [RuntimeImport("*", "address_of_guest"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong AddressOfGuest();

    [RuntimeImport("*", "size_of_guest"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong SizeOfGuest();

    [RuntimeImport("*", "address_of_child"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong AddressOfChild();

    [RuntimeImport("*", "size_of_child"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong SizeOfChild();
}
