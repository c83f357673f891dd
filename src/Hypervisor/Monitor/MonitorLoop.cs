using System;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Wire;

namespace Quietus.Hypervisor.Monitor;

/// <summary>
/// What the boot core does: wait for bytes from the host and for cores that want something, carry out commands, reap
/// VMs that ended by themselves. It runs no vCPU, so a kill order is always heard.
/// </summary>
/// <remarks>Invariant: Core.Current is the boot core's record, which is static.</remarks>
internal static unsafe class MonitorLoop
{
    private const int RingBytes = 4096;

    private static FrameDecoder _decoder;
    private static Line _body;
    private static Ring _ring;
    private static uint _head;
    private static uint _tail;
    private static bool _hasLeft;
    private static bool _timerRuns;
    private static bool _isTime;

    internal static void Run()
    {
        Platform.Gic.EnableShared(Platform.Description.UartInterrupt, Core.Current->Affinity);
        if (MachineConsole.PortInterrupt != 0)
        {
            Platform.Gic.EnableShared(MachineConsole.PortInterrupt, Core.Current->Affinity);
        }

        if (GuestNetwork.UplinkInterrupt != 0)
        {
            Platform.Gic.EnableShared(GuestNetwork.UplinkInterrupt, Core.Current->Affinity);
        }

        MachineConsole.EnableReceive();
        TextConsole.Greet();
        while (true)
        {
            VcpuLoop.HaltAfterReport();
            PollInterrupts();
            bool worked = VmLife.ReapStopped();
            while (TryTake(out byte value))
            {
                worked = true;
                Take(value);
            }

            if (GuestStreams.IsWaiting)
            {
                GuestStreams.Collect();
                worked = true;
            }

            if (GuestNetwork.IsWaiting)
            {
                worked |= GuestNetwork.Collect();
            }

            if (DeviceNews.IsWaiting)
            {
                DeviceNews.Collect();
                worked = true;
            }

            if (!_timerRuns | GuestConsole.IsUrgent && GuestConsole.IsWaiting)
            {
                worked |= CollectOrWait();
            }

            if (GuestNetwork.NeedsTick && !_timerRuns)
            {
                StartTimer();
            }

            if (!worked)
            {
                OwnWork.Wait(Core.Current);
            }
        }
    }

    /// <summary>
    /// Takes the interrupts that are pending: received bytes go into the ring, a kick says only that there is something
    /// to look at. Called wherever this core waits, so that a long order loses no input.
    /// </summary>
    internal static void PollInterrupts()
    {
        while (true)
        {
            ulong interrupt = Instructions.AcknowledgeInterrupt() & 0xFF_FFFF;
            if (interrupt >= PhysicalGic.FirstSpecial)
            {
                return;
            }

            if (interrupt == Platform.Description.UartInterrupt)
            {
                MachineConsole.DropUnheard();
                Drain();
            }
            else if (interrupt == MachineConsole.PortInterrupt)
            {
                MachineConsole.AcknowledgePort();
                Drain();
            }
            else if (interrupt == GuestNetwork.UplinkInterrupt)
            {
                GuestNetwork.AcknowledgeUplink();
            }
            else if (interrupt == Platform.Description.HypervisorTimerInterrupt)
            {
                Instructions.StopHypervisorTimer();
                _timerRuns = false;
                _isTime = true;
                GuestNetwork.Tick();
            }

            Instructions.DropPriority(interrupt);
            Instructions.DeactivateInterrupt(interrupt);
            if (_head - _tail == RingBytes)
            {
                return; // the UART's line stays up until the ring has room: its bytes wait there
            }
        }
    }

    /// <summary>Waits until <see cref="Stopwatch.Now"/> is so much, or the VM wants to end.</summary>
    internal static void Await(ulong nanoseconds, Vm* vm)
    {
        for (ulong now = Stopwatch.Now; now < nanoseconds && !vm->IsStopRequested; now = Stopwatch.Now)
        {
            // What guests print meanwhile goes out afterwards, or with the VM.
            Instructions.StartHypervisorTimer(Stopwatch.ToTicks(nanoseconds - now));
            Instructions.WaitForInterrupt();
            PollInterrupts();
        }
    }

    /// <summary>
    /// Sends on a piece of what guests have printed, when it is time or there is much; else lets more of it arrive.
    /// </summary>
    private static bool CollectOrWait()
    {
        if (_isTime || GuestConsole.IsUrgent)
        {
            // As long as there is more, it goes on at once, after a look at the orders.
            _isTime = GuestConsole.Collect();
            return true;
        }

        StartTimer();
        return false;
    }

    private static void StartTimer()
    {
        const ulong PerSecond = 500;
        _timerRuns = true;
        Instructions.StartHypervisorTimer(Instructions.ReadCounterFrequency() / PerSecond);
    }

    /// <summary>
    /// Takes in what has come: after an interrupt, and when the ring, which was full then, is empty. What does not fit
    /// stays in the port, or in the UART, which asserts flow control or drops it, as UARTs do.
    /// </summary>
    private static void Drain()
    {
        Span<byte> ring = _ring;
        while (_head - _tail < RingBytes && MachineConsole.TryRead(out byte value))
        {
            ring[(int)(_head % RingBytes)] = value;
            _head++;
        }

        _hasLeft = _head - _tail == RingBytes;
    }

    private static bool TryTake(out byte value)
    {
        if (_head == _tail && _hasLeft)
        {
            Drain();
        }

        if (_head == _tail)
        {
            value = 0;
            return false;
        }

        value = ((ReadOnlySpan<byte>)_ring)[(int)(_tail % RingBytes)];
        _tail++;
        return true;
    }

    private static void Take(byte value)
    {
        if (!MachineConsole.IsFramed)
        {
            if (value != FrameFormat.Delimiter)
            {
                TextConsole.Take(value);
                return;
            }

            MachineConsole.UseFrames();
            GuestConsole.BeginSession();
            GuestStreams.BeginSession();
            _decoder = default;
            MachineConsole.Send(Channel.Event, "event=ready"u8);
        }

        Span<byte> body = _body;
        if (_decoder.Feed(value, body) != DecodeStep.Frame)
        {
            return;
        }

        Span<byte> payload = body.Slice(FrameFormat.HeaderLength, _decoder.PayloadLength);
        if (_decoder.Channel == Channel.Monitor)
        {
            Commands.Execute(payload);
        }
        else if (_decoder.Channel == Channel.Flow)
        {
            GuestConsole.TakeFlow(payload);
        }
        else if (_decoder.Channel == Channel.Stream)
        {
            GuestStreams.Receive(payload);
        }
        else if (_decoder.Channel == Channel.Console && ConsoleMessage.TryReadSlot(payload, out int slot))
        {
            GuestConsole.Receive(slot, payload.Slice(ConsoleMessage.HeaderBytes), isCounted: true);
        }
    }

    [InlineArray(FrameFormat.MaximumBody)]
    private struct Line
    {
        private byte _first;
    }

    [InlineArray(RingBytes)]
    private struct Ring
    {
        private byte _first;
    }
}
