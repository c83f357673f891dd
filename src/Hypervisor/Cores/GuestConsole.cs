using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Monitor;
using Quietus.Hypervisor.Vms;
using Quietus.Wire;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// Between a guest's consoles (its PL011, and its virtio console if it has one) and the link to the host: each VM's
/// bytes on a channel of its own, in both directions no faster than the other end takes them
/// (<see cref="FlowMessage"/>).
/// </summary>
/// <remarks>
/// A vCPU's core only puts bytes into its UART's ring, and wakes the monitor's core when there is something new: that
/// one sends, a little later, so that a line is not a frame for each byte. It holds no device lock meanwhile, and sends
/// one frame of each VM between two looks at its orders.
/// Invariant: a VM's pointer is to a slot of VmTable, boot memory that is never moved or given back.
/// </remarks>
internal static unsafe class GuestConsole
{
    /// <summary>The most pieces between two looks at the orders.</summary>
    private const int MostPieces = 16;

    /// <summary>Slots of guests that have printed or read something.</summary>
    private static SlotSet _waiting;

    /// <summary>Slots of guests that may have printed more than has been sent.</summary>
    private static SlotSet _again;
    private static uint _isUrgent;
    private static bool _hasFlow;
    private static Totals _sent;
    private static Totals _hostTook;
    private static Totals _received;
    private static Totals _reported;

    /// <summary>Whether a guest has printed or read something that the host does not know.</summary>
    internal static bool IsWaiting => _waiting.HasSome || _again.HasSome;

    /// <summary>Whether what waits is much: it is not worth waiting for more.</summary>
    internal static bool IsUrgent => Volatile.Read(ref _isUrgent) != 0;

    /// <summary>The guest has printed something, or read something. The device lock is held.</summary>
    internal static void Notice(Vm* vm)
    {
        if (vm->Uart.OutputCount >= VirtualPl011.OutputCapacity / 2)
        {
            Volatile.Write(ref _isUrgent, 1u);
        }

        _waiting.Add(vm->Slot);
        Platform.WakeMonitor();
    }

    /// <summary>A program has taken over the UART: both ends count from 0.</summary>
    internal static void BeginSession()
    {
        _hasFlow = false;
        _sent = default;
        _hostTook = default;
        _received = default;
        _reported = default;
    }

    /// <summary>
    /// Sends on a piece of what each guest has printed, and says what has been read. On the monitor's core. False when
    /// no guest has more to send now: what it prints next waits for the next tick, so that a guest that prints all the
    /// time does not become a frame for each byte.
    /// </summary>
    internal static bool Collect()
    {
        Volatile.Write(ref _isUrgent, 0u);
        bool any = false;
        while (_again.TryTake(out int slot))
        {
            _waiting.Add(slot);
        }

        for (int i = 0; i < MostPieces && _waiting.TryTake(out int slot); i++)
        {
            Vm* vm = VmTable.At(slot);
            if (vm->State == VmState.Running)
            {
                uint room = _hasFlow && MachineConsole.IsFramed
                    ? FlowMessage.Room(_sent[slot], _hostTook[slot], FlowMessage.OutputWindow)
                    : uint.MaxValue;
                bool isTaken = MachineConsole.TakesConsole();
                bool isSent = isTaken && SendPiece(vm, room);
                bool hasMore = isSent && vm->Uart.OutputCount != 0;
                any |= hasMore;
                if (hasMore || !isTaken)
                {
                    _again.Add(slot); // at the next tick, if the host reads nothing now
                }

                ReportInput(slot, InputCount(vm));
            }
        }

        return any;
    }

    /// <summary>
    /// The VM has ended: sends all that it has printed; what it has not read is gone. On the monitor's core.
    /// </summary>
    internal static void Finish(Vm* vm)
    {
        while (SendPiece(vm, uint.MaxValue))
        {
        }

        ReportInput(vm->Slot, 0);
    }

    /// <summary>
    /// Gives a guest what a person types. What its UART has no room for is dropped: a sender that heeds the flow never
    /// sends so much.
    /// </summary>
    /// <param name="slot">A VM's slot; what is for none is taken and dropped.</param>
    /// <param name="input">The bytes.</param>
    /// <param name="isCounted">They came in a frame of the slot's channel, and belong to its flow.</param>
    internal static void Receive(int slot, ReadOnlySpan<byte> input, bool isCounted)
    {
        if ((uint)slot >= (uint)VmTable.Made)
        {
            return;
        }

        _received[slot] += isCounted ? (uint)input.Length : 0;
        Vm* vm = VmTable.At(slot);
        if (vm->State != VmState.Running)
        {
            ReportInput(slot, 0);
            return;
        }

        vm->DeviceLock.Enter();
        PushInput(vm, input);
        vm->DeviceLock.Leave();
    }

    /// <summary>Gives a VM that does not run yet a line, as if it had been typed.</summary>
    internal static void Type(Vm* vm, ReadOnlySpan<byte> line)
    {
        vm->DeviceLock.Enter();
        PushInput(vm, line);
        PushInput(vm, "\r"u8);
        vm->DeviceLock.Leave();
    }

    /// <summary>The host has taken so much of a slot's output. On the monitor's core.</summary>
    internal static void TakeFlow(ReadOnlySpan<byte> payload)
    {
        if (!FlowMessage.TryRead(payload, out FlowMessage flow))
        {
            return;
        }

        _hasFlow = true;
        if (flow.Slot < VmTable.Made && FlowMessage.IsLater(flow.Total, _hostTook[flow.Slot]))
        {
            _hostTook[flow.Slot] = flow.Total;
            _waiting.Add(flow.Slot);
        }
    }

    /// <summary>Whether a read has left so little that the sender should know. The device lock is held.</summary>
    internal static bool HasRoomAgain(Vm* vm) =>
        vm->Uart.InputCount is 0 or VirtualPl011.InputCapacity / 4 or VirtualPl011.InputCapacity / 2;

    /// <summary>One step of the virtio console, under both locks. False: a page is missing.</summary>
    internal static bool Step(Vm* vm, ref GuestPages memory)
    {
        const int Much = VirtualPl011.OutputCapacity / 2;
        int printed = vm->Uart.OutputCount;
        int waited = vm->Console.InputCount;
        bool isDone = vm->Console.TryStep(ref memory, ref vm->Uart);
        int prints = vm->Uart.OutputCount;
        if (prints != printed)
        {
            vm->PrintedCount = Instructions.ReadCounter();
        }

        // Of output that waits the monitor's core knows, but for how much it has become.
        bool isNews = prints != printed && (printed == 0 || (printed < Much && prints >= Much));
        if (isNews || vm->Console.InputCount != waited)
        {
            Notice(vm);
        }

        return isDone;
    }

    /// <summary>The terminal of a VM that has a virtio console has another size.</summary>
    internal static void Resize(Vm* vm, ushort columns, ushort rows)
    {
        vm->DeviceLock.Enter();
        vm->Console.Resize(columns, rows);
        VirtioDevices.GoOn(vm, VirtioPlace.Console);
        vm->DeviceLock.Leave();
    }

    private static int InputCount(Vm* vm) =>
        vm->Console.Transport.Exists ? vm->Console.InputCount : vm->Uart.InputCount;

    private static void PushInput(Vm* vm, ReadOnlySpan<byte> input)
    {
        if (vm->Console.Transport.Exists)
        {
            vm->Console.PushInput(input);
            VirtioDevices.GoOn(vm, VirtioPlace.Console);
        }
        else
        {
            vm->Uart.PushInput(input);
            UpdateLine(vm);
        }
    }

    /// <summary>Takes the UART's interrupt line to the GIC. The device lock is held.</summary>
    private static void UpdateLine(Vm* vm) =>
        vm->KickVcpus(vm->Gic.SetSharedLine(GuestMemoryMap.UartInterrupt, vm->Uart.InterruptLine));

    private static bool SendPiece(Vm* vm, uint room)
    {
        Span<byte> message = stackalloc byte[FrameFormat.MaximumPayload];
        Span<byte> buffer = message.Slice(ConsoleMessage.HeaderBytes);
        vm->DeviceLock.Enter();
        int length = vm->Uart.TakeOutput(buffer.Slice(0, (int)Math.Min(room, (uint)MachineConsole.PieceBytes)));
        if (length != 0)
        {
            UpdateLine(vm);
            if (vm->Console.TryMakeRoom())
            {
                VirtioDevices.GoOn(vm, VirtioPlace.Console);
            }
        }

        vm->DeviceLock.Leave();
        if (length == 0)
        {
            return false;
        }

        _sent[vm->Slot] += (uint)length;
        Span<byte> prefix = stackalloc byte[24];
        LineBuilder name = new(prefix);
        name.Text("[vm"u8);
        name.Number(vm->Id);
        name.Text("] "u8);
        ConsoleMessage.WriteSlot(message, vm->Slot);
        MachineConsole.SendConsole(
            vm->Slot, message.Slice(0, ConsoleMessage.HeaderBytes + length), name.Written, vm->IsMidLine);
        vm->IsMidLine = buffer[length - 1] != '\n';
        return true;
    }

    private static void ReportInput(int slot, int waiting)
    {
        uint taken = _received[slot] - (uint)waiting;
        if (MachineConsole.IsFramed && FlowMessage.IsLater(taken, _reported[slot]))
        {
            _reported[slot] = taken;
            Span<byte> message = stackalloc byte[FlowMessage.Length];
            FlowMessage.Write(message, slot, taken);
            MachineConsole.Send(Channel.Flow, message);
        }
    }

    [InlineArray(VmTable.SlotCount)]
    private struct Totals
    {
        private uint _first;
    }
}
