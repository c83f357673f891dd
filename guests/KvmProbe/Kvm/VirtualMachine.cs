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
internal unsafe struct VirtualMachine
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

    /// <summary>Where the guest's last store goes: below 2^40, which an IPA has at least, and above every slot.</summary>
    private const ulong Doorbell = 0xF0_0000_0000;

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

        ulong size = SizeOfGuest();
        new ReadOnlySpan<byte>((void*)AddressOfGuest(), (int)size).CopyTo(new Span<byte>((void*)memory.Start, (int)size));
        ulong* parameters = (ulong*)(memory.Start + size - ParameterBytes);
        parameters[0] = Options.PageBytes;
        parameters[1] = fillBytes;
        parameters[2] = Doorbell;
        return made;
    }

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

    /// <summary>Runs the vCPU until the guest says that it has written all of its memory once more.</summary>
    internal readonly void RunToDoorbell(ulong fillBytes)
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
            || *(ulong*)(run + AccessData) != fillBytes)
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
}
