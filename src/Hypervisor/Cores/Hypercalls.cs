using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Hypervisor.Vms;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Hypervisor.Cores;

/// <summary>A guest's HVC: PSCI, the calling convention's own functions, and reports to the monitor.</summary>
/// <remarks>
/// Invariant of the unsafe code: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.
/// </remarks>
internal static unsafe class Hypercalls
{
    [SkipLocalsInit]
    internal static void Handle(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        VcpuContext* context = &vcpu->Context;

        // The four registers and the action are all that is read before it is written.
        Unsafe.SkipInit(out GuestCall call);
        call.Registers = *context->FirstFour;
        Smccc.Handle(
            ref call,
            ref vm->Power,
            vcpu->Index,
            (uint)context->Syndrome & 0xFFFF,
            GuestMemoryMap.MemoryStart + vm->Options.MemoryBytes,
            WorkaroundsNotRequired.None);
        *context->FirstFour = call.Registers;
        if (call.Action != GuestCallAction.None)
        {
            Act(vcpu, in call);
        }
    }

    private static void Act(Vcpu* vcpu, in GuestCall call)
    {
        Vm* vm = vcpu->Vm;
        switch (call.Action)
        {
            case GuestCallAction.CpuOn:
                vm->VcpuAt(call.Target)->Kick();
                break;

            case GuestCallAction.CpuOff:
                vcpu->NeedsAttention = true;
                if (vm->Power.AllOff())
                {
                    vm->RequestStop("the guest has turned all its vCPUs off"u8);
                }

                break;

            case GuestCallAction.Suspend:
                vcpu->Wait(VcpuWait.Interrupt);
                break;

            case GuestCallAction.SystemOff:
                vm->RequestStop("guest power-off"u8);
                break;

            case GuestCallAction.SystemReset:
                vm->RequestStop("guest reset"u8);
                break;

            case GuestCallAction.Freeze:
                vcpu->AwaitsBirth = TryRequestFreeze(vcpu);
                break;

            case GuestCallAction.Random:
                GiveRandom(vcpu, call);
                break;

            default:
                Report(vm, in call);
                break;
        }
    }

    private static void GiveRandom(Vcpu* vcpu, GuestCall call)
    {
        Span<ulong> bits = stackalloc ulong[3];
        if (VmRandom.TryFill(vcpu->Vm, MemoryMarshal.AsBytes(bits)))
        {
            Trng.Finish(ref call, bits[0], bits[1], bits[2]);
            *vcpu->Context.FirstFour = call.Registers;
        }
    }

    /// <summary>What the monitor would refuse is refused here, so that the guest is told.</summary>
    internal static bool TryRequestFreeze(Vcpu* vcpu)
    {
        Vm* vm = vcpu->Vm;
        vm->MemoryLock.Enter();
        bool canFreeze = vm->Options.Policy == MaintenancePolicy.Fate && vm->Memory.InvalidationsInProgress == 0;
        vm->MemoryLock.Leave();
        if (canFreeze)
        {
            vcpu->NeedsAttention = true;
            vm->RequestFreeze();
        }

        return canFreeze;
    }

    private static void Report(Vm* vm, in GuestCall call)
    {
        const ulong Dirtied = 1;
        if (call.ReportKind == Dirtied)
        {
            vm->FilledAt = Stopwatch.Now;
        }

        Span<byte> buffer = stackalloc byte[128];
        LineBuilder line = new(buffer);
        line.Text("event=report"u8);
        line.Field("vm"u8, vm->Id);
        line.Field("kind"u8, call.ReportKind);
        line.Field("value"u8, call.ReportValue);
        MachineConsole.Send(Channel.Event, line.Written);
    }
}
