using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Quietus.Probe.Linux;

namespace Quietus.Probe.Kvm;

/// <summary>
/// A virtual machine of KVM with one vCPU and one memory slot at address 0, made step by step so that each can be timed
/// (Documentation/virt/kvm/api.rst). It has no interrupt controller and no device: its death is a lower bound.
/// </summary>
/// <remarks>
/// Invariant: the run structure is the vCPU's, mapped until <see cref="Close"/>; the area outlives the slot or is taken
/// away on purpose; every structure that a request names is as large as include/uapi/linux/kvm.h has it.
/// </remarks>
internal unsafe partial struct Machine
{
    private const ulong ApiVersion = 0xAE00;
    private const ulong CreateVm = 0xAE01;
    private const ulong RunBytes = 0xAE04; // KVM_GET_VCPU_MMAP_SIZE
    private const ulong CreateVcpu = 0xAE41;
    private const ulong SetMemory = 0x4020AE46; // KVM_SET_USER_MEMORY_REGION
    private const ulong RunVcpu = 0xAE80;

    /// <summary>What KVM_GET_API_VERSION has said since Linux 2.6.22.</summary>
    private const long KnownApi = 12;

    private const int ExitReason = 8; // in struct kvm_run
    private const ulong ReadWrite = 3;
    private const ulong Shared = 1;

    private static int kvm = -1;
    private static ulong runBytes;

    private int vm;
    private int vcpu;
    private byte* run;

    /// <summary>Opens /dev/kvm; what is in the way is said in one line, with the exit code for "not here".</summary>
    internal static void SetUp()
    {
        long opened = SystemCalls.Open("/dev/kvm"u8, SystemCalls.ReadWrite);
        if (opened < 0)
        {
            Problem.NotHere(
                opened switch
                {
                    -2 => "there is no /dev/kvm: the kernel has no KVM, or the firmware has virtualization disabled"u8,
                    -13 or -1 => "no permission for /dev/kvm: join its group (kvm), or run as root"u8,
                    -6 or -19 => "/dev/kvm is there, but KVM is not: dmesg says why (the firmware may disable it)"u8,
                    _ => "/dev/kvm cannot be opened"u8,
                },
                opened);
        }

        kvm = (int)opened;
        long version = SystemCalls.Control(kvm, ApiVersion, 0);
        if (version != KnownApi)
        {
            Problem.NotHere("/dev/kvm is not KVM, or one of another kind (KVM_GET_API_VERSION is not 12)"u8, version);
        }

        runBytes = Problem.Checked(SystemCalls.Control(kvm, RunBytes, 0), "asking for the run structure's size"u8);
    }

    /// <summary>Step 1: a VM that has nothing yet.</summary>
    internal static Machine Create()
    {
        Machine made = default;
        long result = SystemCalls.Control(kvm, CreateVm, 0);
        if (result is -16 or -5)
        {
            Problem.NotHere("KVM makes no VM: another hypervisor may hold the processor"u8, result);
        }

        made.vm = (int)Problem.Checked(result, "making a VM (KVM_CREATE_VM)"u8);
        return made;
    }

    /// <summary>Step 2: the memory slot; 0 bytes take it away.</summary>
    internal readonly void SetSlot(in Area area, ulong bytes)
    {
        // slot and flags, guest address, size, our address
        ulong* region = stackalloc ulong[4];
        region[0] = 0;
        region[1] = 0;
        region[2] = bytes;
        region[3] = area.Start;
        Problem.Checked(SystemCalls.Control(vm, SetMemory, (ulong)region), "setting the memory slot"u8);
    }

    /// <summary>Step 3: the vCPU.</summary>
    internal void AddVcpu() =>
        vcpu = (int)Problem.Checked(SystemCalls.Control(vm, CreateVcpu, 0), "making a vCPU (KVM_CREATE_VCPU)"u8);

    /// <summary>Step 4: its run structure and its registers, so that it begins at the guest's first byte.</summary>
    internal void Prepare(in Area area)
    {
        run = (byte*)Problem.Checked(
            SystemCalls.MapMemory(runBytes, ReadWrite, Shared, vcpu), "mapping the run structure"u8);
        SetRegisters(area);
    }

    /// <summary>Runs until the guest has rung; it must have come to <paramref name="expected"/>.</summary>
    internal readonly void RunToDoorbell(ulong expected)
    {
        long result;
        do
        {
            result = SystemCalls.Control(vcpu, RunVcpu, 0);
        }
        while (result == SystemCalls.Interrupted);

        Problem.Checked(result, "running the vCPU (KVM_RUN)"u8);
        if (!IsDoorbell(expected))
        {
            Problem.Stop(
                "the guest stopped for another reason than its doorbell; kvm_run.exit_reason follows"u8,
                *(uint*)(run + ExitReason));
        }
    }

    /// <summary>Gives up everything that holds the VM: with the last of it KVM destroys it.</summary>
    internal readonly void Close()
    {
        SystemCalls.UnmapMemory((ulong)run, runBytes);
        SystemCalls.Close(vcpu);
        SystemCalls.Close(vm);
    }

    /// <summary>Puts the guest's code where it is to run; its bytes.</summary>
    private static int CopyCode(ulong to)
    {
        int size = (int)SizeOfGuest();
        new ReadOnlySpan<byte>((void*)AddressOfGuest(), size).CopyTo(new Span<byte>((void*)to, size));
        return size;
    }

    [RuntimeImport("*", "address_of_guest"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong AddressOfGuest();

    [RuntimeImport("*", "size_of_guest"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong SizeOfGuest();
}
