using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;

namespace Quietus.Hypervisor.Cores;

/// <summary>Gives a guest an exception of its own, at its EL1: the architecture's answer to what it did.</summary>
/// <remarks>
/// Invariant of the unsafe code: the vCPU is loaded on this core, so EL1's registers here are its own.
/// </remarks>
internal static unsafe class Inject
{
    internal static void Undefined(Vcpu* vcpu)
    {
        GuestExceptionState state = Read(vcpu);
        ExceptionInjection.InjectUndefined(ref state, in SystemRegisters.Identity);
        Write(vcpu, in state);
    }

    /// <summary>An access that reached no memory and no device.</summary>
    internal static void ExternalAbort(Vcpu* vcpu, StageTwoAbort abort)
    {
        GuestExceptionState state = Read(vcpu);
        const ulong VectorBytes = 0x800;
        if (abort.IsFetch && state.ProgramCounter - state.VectorBase < VectorBytes)
        {
            vcpu->Vm->RequestStop("the guest's exception vectors are in no memory"u8);
            return;
        }

        ExceptionInjection.InjectExternalAbort(
            ref state, in SystemRegisters.Identity, abort, Instructions.ReadFar());
        Write(vcpu, in state);
    }

    private static GuestExceptionState Read(Vcpu* vcpu)
    {
        ulong* registers = stackalloc ulong[6];
        Instructions.ReadExceptionRegisters(registers);
        return new GuestExceptionState
        {
            ProgramCounter = vcpu->Context.ProgramCounter,
            ProcessorState = vcpu->Context.ProcessorState,
            FaultAddress = registers[3],
            VectorBase = registers[4],
            SystemControl = registers[5],
        };
    }

    private static void Write(Vcpu* vcpu, in GuestExceptionState state)
    {
        ulong* registers = stackalloc ulong[4];
        registers[0] = state.LinkRegister;
        registers[1] = state.SavedProcessorState;
        registers[2] = state.Syndrome;
        registers[3] = state.FaultAddress; // what was read, where the exception does not set it
        Instructions.WriteExceptionRegisters(registers);
        vcpu->Context.ProgramCounter = state.ProgramCounter;
        vcpu->Context.ProcessorState = state.ProcessorState;
    }
}
