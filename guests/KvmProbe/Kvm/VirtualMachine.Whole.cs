using Quietus.KvmProbe.Linux;

namespace Quietus.KvmProbe.Kvm;

/// <summary>A machine with an interrupt controller and all of its registers, as a monitor restores it.</summary>
/// <remarks>Invariant: a list of registers has room for what Linux says that there are.</remarks>
internal unsafe partial struct VirtualMachine
{
    private const ulong CreateDevice = 0xC00CAEE0; // KVM_CREATE_DEVICE
    private const ulong SetAttribute = 0x4018AEE1; // KVM_SET_DEVICE_ATTR
    private const ulong ListRegisters = 0xC008AEB0; // KVM_GET_REG_LIST
    private const ulong GetRegister = 0x4010AEAB; // KVM_GET_ONE_REG

    private const uint InterruptController = 7; // KVM_DEV_TYPE_ARM_VGIC_V3
    private const uint Addresses = 0; // KVM_DEV_ARM_VGIC_GRP_ADDR
    private const uint Control = 4; // KVM_DEV_ARM_VGIC_GRP_CTRL
    private const ulong Distributor = 2;
    private const ulong Redistributor = 3;
    private const ulong DistributorAddress = 0xE0_0800_0000;
    private const ulong RedistributorAddress = 0xE0_080A_0000;

    /// <summary>Makes the GICv3 that KVM emulates; its file.</summary>
    internal readonly int AddInterruptController()
    {
        uint* device = stackalloc uint[4];
        device[0] = InterruptController;
        device[1] = 0;
        device[2] = 0;
        Failure.Checked(SystemCalls.Control(vm, CreateDevice, (ulong)device), "making the interrupt controller"u8);
        int file = (int)device[1];
        ulong address = DistributorAddress;
        Set(file, Addresses, Distributor, &address);
        address = RedistributorAddress;
        Set(file, Addresses, Redistributor, &address);
        Set(file, Control, 0, null);
        return file;
    }

    /// <summary>Reads every register that Linux names; how many they are.</summary>
    internal readonly int SaveAll(ref SavedRegisters saved)
    {
        fixed (ulong* numbers = saved.Numbers, values = saved.Values)
        {
            numbers[0] = SavedRegisters.Most;
            Failure.Checked(SystemCalls.Control(vcpu, ListRegisters, (ulong)numbers), "listing registers"u8);
            ulong* one = stackalloc ulong[2];
            for (int i = 0; i < (int)numbers[0]; i++)
            {
                one[0] = numbers[1 + i];
                one[1] = (ulong)(values + (2 * i));
                Failure.Checked(SystemCalls.Control(vcpu, GetRegister, (ulong)one), "reading a register"u8);
            }

            return (int)numbers[0];
        }
    }

    /// <summary>Writes them back.</summary>
    internal readonly void RestoreAll(ref SavedRegisters saved)
    {
        fixed (ulong* numbers = saved.Numbers, values = saved.Values)
        {
            for (int i = 0; i < (int)numbers[0]; i++)
            {
                Failure.Checked(SetOne(numbers[1 + i], values + (2 * i)), "restoring a register"u8);
            }
        }
    }

    private static void Set(int device, uint group, ulong attribute, ulong* value)
    {
        // flags and group, attribute, address of the value
        ulong* order = stackalloc ulong[3];
        order[0] = (ulong)group << 32;
        order[1] = attribute;
        order[2] = (ulong)value;
        Failure.Checked(
            SystemCalls.Control(device, SetAttribute, (ulong)order), "setting up the interrupt controller"u8);
    }
}

/// <summary>A vCPU's registers: numbers as KVM_GET_REG_LIST has them, and 16 bytes of value for each.</summary>
/// <remarks>Invariant: as many numbers as the first one says, with as many values.</remarks>
internal unsafe struct SavedRegisters
{
    internal const int Most = 1023;

    internal fixed ulong Numbers[Most + 1];
    internal fixed ulong Values[2 * Most];
}
