using System;
using System.Threading;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Hypervisor.Vms;
using Quietus.Wire;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// Between a guest's emulated PL011 and the machine's one UART: each VM's bytes on a channel of its own.
/// </summary>
/// <remarks>Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.</remarks>
internal static unsafe class GuestConsole
{
    private static uint _partialLines;

    /// <summary>Sends on what the guest has printed and the UART has gathered. The device lock is held.</summary>
    internal static void Flush(Vm* vm)
    {
        Span<byte> buffer = stackalloc byte[VirtualPl011.OutputCapacity];
        int length = vm->Uart.TakeOutput(buffer);
        if (length == 0)
        {
            return;
        }

        Span<byte> prefix = stackalloc byte[24];
        LineBuilder name = new(prefix);
        name.Text("[vm"u8);
        name.Number(vm->Id);
        name.Text("] "u8);
        Channel channel = (Channel)((int)Channel.FirstConsole + vm->Slot);
        MachineConsole.SendConsole(channel, buffer.Slice(0, length), name.Written, vm->IsMidLine);
        vm->IsMidLine = buffer[length - 1] != '\n';
    }

    /// <summary>
    /// The guest has printed part of a line. It is sent with the rest, or a little later by the monitor's core, so that
    /// a prompt shows and a line is not a frame for each byte. The device lock is held.
    /// </summary>
    internal static void FlushLater(Vm* vm)
    {
        if (vm->Uart.OutputCount == 1)
        {
            Volatile.Write(ref _partialLines, 1u);
            Platform.CoreAt(0)->Kick();
        }
    }

    /// <summary>Whether somebody asked for <see cref="FlushAll"/> since the last one.</summary>
    internal static bool HasPartialLines => Volatile.Read(ref _partialLines) != 0;

    /// <summary>Sends on what every guest has printed so far. On the monitor's core.</summary>
    internal static void FlushAll()
    {
        Volatile.Write(ref _partialLines, 0u);
        for (int slot = 0; slot < VmTable.SlotCount; slot++)
        {
            Vm* vm = VmTable.At(slot);
            if (vm->State == VmState.Running)
            {
                vm->DeviceLock.Enter();
                Flush(vm);
                vm->DeviceLock.Leave();
            }
        }
    }

    /// <summary>
    /// Gives the guest what somebody typed. What its UART has no room for is dropped, as a real one would.
    /// </summary>
    internal static void Receive(Vm* vm, ReadOnlySpan<byte> input)
    {
        vm->DeviceLock.Enter();
        vm->Uart.PushInput(input);
        UpdateLine(vm);
        vm->DeviceLock.Leave();
    }

    /// <summary>Takes the UART's interrupt line to the GIC. The device lock is held.</summary>
    internal static void UpdateLine(Vm* vm) =>
        vm->KickVcpus(vm->Gic.SetSharedLine(GuestMemoryMap.UartInterrupt, vm->Uart.InterruptLine));
}
