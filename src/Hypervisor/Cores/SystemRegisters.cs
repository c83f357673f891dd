using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>A guest's trapped MSR and MRS: answered from the allow-list of <see cref="SystemRegisterTraps"/>.</summary>
/// <remarks>
/// Invariant of the unsafe code: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.
/// </remarks>
internal static unsafe class SystemRegisters
{
    private static GuestIdRegisters _identity;

    /// <summary>What every guest's ID registers say.</summary>
    internal static ref readonly GuestIdRegisters Identity => ref _identity;

    /// <summary>Works the guests' ID registers out, once, from the boot core's.</summary>
    internal static void Initialize(int ipaBits)
    {
        HostIdRegisters host = ReadHost();
        _identity.Reset(in host, ipaBits);
    }

    /// <summary>This core's own.</summary>
    internal static HostIdRegisters ReadHost() => new()
    {
        Revision = Instructions.ReadRevidr(),
        Auxiliary = Instructions.ReadAidr(),
        Pfr0 = Instructions.ReadIdAa64Pfr0(),
        Pfr1 = Instructions.ReadIdAa64Pfr1(),
        Dfr0 = Instructions.ReadIdAa64Dfr0(),
        Isar0 = Instructions.ReadIdAa64Isar0(),
        Isar1 = Instructions.ReadIdAa64Isar1(),
        Isar2 = Instructions.ReadIdAa64Isar2(),
        Mmfr0 = Instructions.ReadIdAa64Mmfr0(),
        Mmfr1 = Instructions.ReadIdAa64Mmfr1(),
        Mmfr2 = Instructions.ReadIdAa64Mmfr2(),
    };

    internal static void Handle(Vcpu* vcpu)
    {
        ref VcpuContext context = ref vcpu->Context;
        SystemRegisterAccess access = SystemRegisterAccess.Decode(context.Syndrome);
        if (VcpuTimers.TryAccess(vcpu, access))
        {
            context.StepOver();
            return;
        }

        ulong value = context.Register(access.GeneralRegister);
        switch (SystemRegisterTraps.Handle(access, in _identity, ref vcpu->Debug, ref value))
        {
            case SystemRegisterOutcome.Undefined:
                Inject.Undefined(vcpu);
                return;

            case SystemRegisterOutcome.Value:
                context.SetRegister(access.GeneralRegister, value);
                break;

            case SystemRegisterOutcome.SendSgi:
                SendSgi(vcpu, context.Register(access.GeneralRegister), anyGroup: true);
                break;

            case SystemRegisterOutcome.SendGroup0Sgi:
                SendSgi(vcpu, context.Register(access.GeneralRegister), anyGroup: false);
                break;

            case SystemRegisterOutcome.LoadDebug:
                GuestDebug.Load(vcpu, access.Register);
                break;

            default:
                break;
        }

        context.StepOver();
    }

    private static void SendSgi(Vcpu* vcpu, ulong value, bool anyGroup)
    {
        Vm* vm = vcpu->Vm;
        vm->DeviceLock.Enter();
        VcpuInterrupts.TakeBack(vcpu);
        uint kicked = vm->Gic.SendSgi(vcpu->Index, value, anyGroup);
        vm->DeviceLock.Leave();
        vm->KickVcpus(kicked);
    }
}
