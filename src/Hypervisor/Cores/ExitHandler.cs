using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// What a guest did that only EL2 can answer, by ESR_EL2.EC (DDI 0487 D24.2.40). Every register is hostile. What the
/// architecture has an answer for, the guest gets that answer; what has no answer ends the VM, never the
/// machine.
/// </summary>
/// <remarks>Invariant: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.</remarks>
internal static unsafe class ExitHandler
{
    private const uint Wait = 0x01;
    private const uint Hypercall = 0x16;
    private const uint SystemRegister = 0x18;
    private const uint InstructionAbort = 0x20;
    private const uint DataAbort = 0x24;
    private const ulong AArch32 = 1UL << 4; // SPSR_EL2.M[4]

    /// <summary>Handles a synchronous exception from a guest, whose registers are in its context.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Synchronous(Vcpu* vcpu)
    {
        // Of AArch64 only: AArch32 has a class of its own for it.
        uint exceptionClass = (uint)vcpu->Context.Syndrome >> 26;
        if (exceptionClass == Hypercall)
        {
            vcpu->Counters.HypercallExits++;
            Hypercalls.Handle(vcpu);
            return;
        }

        if ((vcpu->Context.ProcessorState & AArch32) != 0)
        {
            // ID_AA64PFR0_EL1 says that there is no AArch32 at any level; it went there all the same.
            vcpu->Vm->RequestStop("the guest entered AArch32 state, which it was told not to have"u8);
            return;
        }

        if (exceptionClass is DataAbort or InstructionAbort)
        {
            Aborts.Handle(vcpu);
            return;
        }

        Others(vcpu, exceptionClass);
    }

    /// <summary>ISS.TI: WFI and WFIT have bit 0 clear.</summary>
    private static bool IsWfe(ulong syndrome) => (syndrome & 1) != 0;

    private static void Others(Vcpu* vcpu, uint exceptionClass)
    {
        switch (exceptionClass)
        {
            case SystemRegister:
                vcpu->Counters.SystemRegisterExits++;
                SystemRegisters.Handle(vcpu);
                break;

            case Wait:
                vcpu->Counters.WaitExits++;
                vcpu->Context.StepOver();
                vcpu->Wait(IsWfe(vcpu->Context.Syndrome) ? VcpuWait.Turn : VcpuWait.Interrupt);
                break;

            // SMC: the guest's machine has no EL3, where it is undefined. Floating point of kinds that are hidden (SVE,
            // SME), pointer authentication, ERET traps, AArch32 coprocessors: told to be absent, so undefined.
            default:
                vcpu->Counters.OtherExits++;
                Inject.Undefined(vcpu);
                break;
        }
    }
}
