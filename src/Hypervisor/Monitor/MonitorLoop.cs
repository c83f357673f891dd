using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Vms;
using Quietus.Wire;

namespace Quietus.Hypervisor.Monitor;

/// <summary>
/// What the boot core does: wait for bytes from the host and for cores that want something, carry out commands, reap
/// VMs that ended by themselves. Only when there is nothing of that does it run a vCPU, which leaves its guest as soon
/// as there is: a kill order is always heard, and no vCPU is ever in this core while it is carried out.
/// </summary>
/// <remarks>
/// Invariant: Core.Current is the boot core's record, which is static; a vCPU is in it until this loop takes it out.
/// </remarks>
internal static unsafe class MonitorLoop
{
    private const int RingBytes = 4096;

    private static FrameDecoder _decoder;
    private static Line _body;
    private static Ring _ring;
    private static uint _head;
    private static uint _tail;
    private static bool _hasLeft;
    private static bool _isHeld;
    private static bool _isTime;

    /// <summary>When it is time to send on what guests have printed; the greatest value while none has.</summary>
    private static ulong _tickAt = ulong.MaxValue;

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
        Core* core = Core.Current;
        Dispatcher.AddCore(core);
        while (true)
        {
            VcpuLoop.HaltAfterReport();
            if (core->Vcpu == null)
            {
                if (!LookAround(core) && !TryChoose(core) && !ScrubsAlone(core))
                {
                    OwnWork.Wait(core);
                }
            }
            else if (core->IsMonitorWanted)
            {
                PutBack(core);
            }
            else
            {
                RunVcpu(core);
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

            Instructions.DropPriority(interrupt);
            if (interrupt == PhysicalGic.KickInterrupt || TakeTimer(interrupt) || TakeDevice(interrupt))
            {
                Instructions.DeactivateInterrupt(interrupt);
            }
        }
    }

    private static bool TakeTimer(ulong interrupt)
    {
        bool isTimer = interrupt == Platform.Description.HypervisorTimerInterrupt;
        if (isTimer)
        {
            Core.Current->NoteTimer();
            Core.Current->StopFiredTimer();
        }

        return isTimer;
    }

    /// <summary>
    /// Takes an interrupt of the monitor's devices, which come to core 0 alone. False: it must stay active, or it would
    /// come again at once: the ring has no room for what the UART has received. Others are left as they are.
    /// </summary>
    internal static bool TakeDevice(ulong interrupt)
    {
        if (interrupt == Platform.Description.UartInterrupt)
        {
            MachineConsole.DropUnheard();
            Drain();
            _isHeld = _hasLeft;
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
        else
        {
            return true;
        }

        Core.Current->IsMonitorWanted = true;
        return interrupt != Platform.Description.UartInterrupt || !_isHeld;
    }

    /// <summary>
    /// Waits until <see cref="Stopwatch.Now"/> is so much, or the VM wants to end. This core runs vCPUs meanwhile.
    /// </summary>
    internal static void Await(ulong nanoseconds, Vm* vm)
    {
        Core* core = Core.Current;
        for (ulong now = Stopwatch.Now; now < nanoseconds && !vm->IsStopRequested; now = Stopwatch.Now)
        {
            // What guests print meanwhile goes out afterwards, or with the VM.
            // A tick more than whole ones, so that it is time when the timer fires.
            Dispatcher.SetMonitorTimer(core, Instructions.ReadCounter() + Stopwatch.ToTicks(nanoseconds - now) + 1);
            RunOrWait(core);
            if (Stopwatch.Now < nanoseconds)
            {
                Listen(core); // and not when it is time: how much has come is no part of the moment
            }
        }

        // The timer is set when the order has been carried out: it is to cost that nothing.
        core->MonitorAt = _tickAt;
        core->MustSchedule = true;
        EndWait(core);
    }

    /// <summary>
    /// Waits until all vCPUs of a VM have begun, or it is to end. This core runs vCPUs meanwhile: one may be its own.
    /// </summary>
    internal static void AwaitArrived(Vm* vm)
    {
        Core* core = Core.Current;
        while (!vm->HasArrived && !vm->MustLeave)
        {
            RunOrWait(core);
            Listen(core);
        }

        EndWait(core);
    }

    /// <summary>
    /// Looks once at everything that the monitor may be wanted for. False: there was nothing.
    /// </summary>
    private static bool LookAround(Core* core)
    {
        Listen(core);
        if (!Dispatcher.IsCrowded)
        {
            TryChoose(core); // none is: its timer is set, before an order that is measured
        }

        if (_tickAt != ulong.MaxValue && Instructions.ReadCounter() >= _tickAt)
        {
            _tickAt = ulong.MaxValue;
            _isTime = true;
            GuestNetwork.Tick();
        }

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

        if (_tickAt == ulong.MaxValue | GuestConsole.IsUrgent && GuestConsole.IsWaiting)
        {
            worked |= CollectOrWait(core);
        }

        if (GuestNetwork.NeedsTick && _tickAt == ulong.MaxValue)
        {
            StartTimer(core);
        }

        return worked;
    }

    /// <summary>
    /// Takes the interrupts, and forgets that the monitor was wanted: what is written from now on, before it is wanted
    /// again, is either seen by the look that follows or leads to another one.
    /// </summary>
    private static void Listen(Core* core)
    {
        PollInterrupts();
        core->IsMonitorWanted = false;
        Interlocked.MemoryBarrier();
    }

    /// <summary>
    /// A step of an order that waits for vCPUs. What the monitor is wanted for meanwhile, it finds when it has carried
    /// the order out: it looks around after each. Where this core has no vCPU to choose or to wake it takes no lock:
    /// another core may have it, and what is measured would be late.
    /// </summary>
    private static void RunOrWait(Core* core)
    {
        if (core->Vcpu != null)
        {
            RunVcpu(core);
        }
        else if (!Dispatcher.HasVcpus(core) || !TryChoose(core))
        {
            Instructions.WaitForInterrupt();
        }
    }

    /// <summary>The order goes on: no vCPU is chosen for this core.</summary>
    private static void EndWait(Core* core)
    {
        if (core->Vcpu != null)
        {
            core->IsMonitorWanted = true;
            PutBack(core);
        }
    }

    /// <summary>Where no other core does, this one scrubs. False: there is nothing to do, or an interrupt.</summary>
    private static bool ScrubsAlone(Core* core) => Platform.CoreCount == 1 && Scrubber.TryOne(core);

    /// <summary>Chooses a vCPU for this core, if that is to be looked at. False: it has been.</summary>
    private static bool TryChoose(Core* core)
    {
        bool isDue = core->MustSchedule;
        if (isDue)
        {
            Dispatcher.Look(core);
        }

        return isDue;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RunVcpu(Core* core) => VcpuLoop.Run(core, core->Vcpu);

    /// <summary>The monitor is wanted, and a vCPU has been chosen that has not been loaded.</summary>
    private static void PutBack(Core* core) => Dispatcher.Yield(core, toBack: false);

    /// <summary>
    /// Sends on a piece of what guests have printed, when it is time or there is much; else lets more of it arrive.
    /// </summary>
    private static bool CollectOrWait(Core* core)
    {
        if (_isTime || GuestConsole.IsUrgent)
        {
            // As long as there is more, it goes on at once, after a look at the orders.
            _isTime = GuestConsole.Collect();
            return true;
        }

        StartTimer(core);
        return false;
    }

    private static void StartTimer(Core* core)
    {
        const ulong PerSecond = 500;
        _tickAt = Instructions.ReadCounter() + (Instructions.ReadCounterFrequency() / PerSecond);
        Dispatcher.SetMonitorTimer(core, _tickAt);
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
            if (_isHeld && !_hasLeft)
            {
                _isHeld = false;
                Instructions.DeactivateInterrupt(Platform.Description.UartInterrupt);
            }
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
