using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Stage2;

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
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="abort">The abort.</param>
    /// <param name="ipa">Where it led; for a table walk of the guest's own, the page only.</param>
    internal static void ExternalAbort(Vcpu* vcpu, StageTwoAbort abort, Ipa ipa)
    {
        GuestExceptionState state = Read(vcpu);
        const ulong VectorBytes = 0x800;
        if (abort.IsFetch && state.ProgramCounter - state.VectorBase < VectorBytes)
        {
            vcpu->Vm->RequestStop("the guest's exception vectors are in no memory"u8);
            return;
        }

        ulong address = Instructions.ReadFar();
        bool isBeyond = ipa >= VmTable.Geometry.IpaLimit;
        int level = isBeyond || abort.IsStageOneWalk
            ? FindLevel(vcpu->Vm, state.SystemControl, address, abort.IsStageOneWalk ? ipa.Value : StageOneWalk.NoTable)
            : ExceptionInjection.UnknownLevel;
        ExceptionInjection.InjectExternalAbort(
            ref state, in SystemRegisters.Identity, abort, address, level, isBeyond);
        Write(vcpu, in state);
    }

    private static int FindLevel(Vm* vm, ulong systemControl, ulong address, ulong table)
    {
        ulong* registers = stackalloc ulong[3];
        Instructions.ReadTranslationRegisters(registers);
        StageOneRegime regime = new()
        {
            SystemControl = systemControl,
            TranslationControl = registers[0],
            LowerTable = registers[1],
            UpperTable = registers[2],
        };
        GuestTables tables = new(vm);
        vm->MemoryLock.Enter();
        int level = StageOneWalk.FindLevel(ref tables, in regime, address, table);
        vm->MemoryLock.Leave();
        return level;
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

    /// <summary>
    /// The guest's memory as far as it is mapped: a walk that hardware has just done has gone there. The memory lock is
    /// held.
    /// </summary>
    private readonly struct GuestTables(Vm* vm) : IGuestMemoryReader
    {
        // Invariant: the VM is the loaded one.
        private readonly Vm* _vm = vm;

        public bool TryRead(ulong address, out ulong value)
        {
            El2Machine machine = _vm->Machine;
            Translation translation = _vm->Memory.Translate(ref machine, new Ipa(address & ~7UL));
            value = translation.IsMapped ? machine.ReadEntry(translation.Output) : 0;
            return translation.IsMapped;
        }
    }
}
