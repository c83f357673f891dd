using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Devices.Virtio;
using Quietus.Hypervisor.Guests;
using Quietus.Hypervisor.Machine;
using Quietus.Hypervisor.Randomness;
using Quietus.Memory;
using Quietus.Stage2;

namespace Quietus.Hypervisor.Vms;

/// <summary>Where a VM is in its life. The monitor's core alone changes it.</summary>
internal enum VmState : uint
{
    /// <summary>The slot is free.</summary>
    None,

    /// <summary>It has memory and a loaded guest; the scheduler does not know its vCPUs yet.</summary>
    Created,

    /// <summary>Its vCPUs are the scheduler's.</summary>
    Running,

    /// <summary>It is a template: its vCPUs are saved, and nothing of it changes any more.</summary>
    Frozen,
}

/// <summary>What a VM is made of, as the monitor was told.</summary>
internal struct VmOptions
{
    internal GuestKind Guest;
    internal ulong MemoryBytes;
    /// <summary>Bytes of the disk, a multiple of 4 KB; 0 for none.</summary>
    internal ulong DiskBytes;

    internal int VcpuCount;

    /// <summary>Its vCPUs' shares of busy cores are as their weights.</summary>
    internal uint Weight;

    /// <summary>The cores that its vCPUs may use, as bits; 0 for all that run vCPUs.</summary>
    internal ulong Cores;

    internal PageSizing Sizing;
    internal MaintenancePolicy Policy;

    /// <summary>The guest gets no random seeds, so that it does the same each time.</summary>
    internal bool IsRepeatable;

    /// <summary>It has a virtio console, to which all input goes; its UART only prints.</summary>
    internal bool HasConsole;

    /// <summary>It has a vsock: programs at the link can connect to its ports.</summary>
    internal bool HasVsock;

    /// <summary>It has a network device, and reaches the network of the machine's own.</summary>
    internal bool HasUplink;

    /// <summary>It has a network device, and reaches the VMs of the same group; 0 for none.</summary>
    internal ushort Group;

    /// <summary>It has a network device.</summary>
    internal readonly bool HasNetwork => HasUplink || Group != 0;

    /// <summary>No memory is set aside: it takes what is there when it touches it, and is stopped if none is.</summary>
    internal bool Overcommits;
}

/// <summary>
/// A virtual machine: memory, devices, vCPUs. It lies in a slot of <see cref="VmTable"/>, all zero when there is none.
/// </summary>
/// <remarks>
/// The monitor's core creates, starts, kills and unmaps. A vCPU's core takes the memory lock for a fault, the device
/// lock for a device; it ends its VM by <see cref="RequestStop"/> alone, and the monitor's core reaps. So a kill order,
/// a power-off and a guest's fault all end in <see cref="VmLife"/>'s one path.
/// Invariant: addresses of parts are taken only of VMs in VmTable, whose slots are never moved or given back.
/// </remarks>
internal unsafe struct Vm
{
    internal const int MaximumVcpus = 8;

    // To stop: 0, then the reason is being written, then it can be read. To freeze: 0 or requested.
    private const uint BeingRequested = 1;
    private const uint Requested = 2;
    private const ulong AnyRequested = Requested | ((ulong)Requested << 32);

    /// <summary>Counts up over the boot and never comes again; 0 when the slot is free.</summary>
    internal ulong Id;

    /// <summary>Position in <see cref="VmTable"/>: its console's messages name it.</summary>
    internal int Slot;

    internal VmState State;
    internal VmOptions Options;
    internal SpinLock MemoryLock;
    internal SpinLock DeviceLock;
    internal El2MachineState MachineState;
    internal GuestMemory<Arm<Granule4K>, El2Machine> Memory;
    internal VmidLease Lease;
    internal VirtualGic Gic;
    internal VirtualPl011 Uart;
    internal VcpuPower Power;
    internal VirtioRng Rng;
    internal VirtioBlock Disk;
    internal VirtioConsole Console;
    internal VirtioVsock Vsock;

    /// <summary>Which virtio devices have something to do, a bit for each <see cref="VirtioPlace"/>.</summary>
    internal uint VirtioWork;

    /// <summary>Why each of them broke first, and whether the host was told: see <see cref="DeviceNews"/>.</summary>
    internal ulong VirtioProblems;

    /// <summary>The VM's own random numbers, behind their lock: see <see cref="VmRandom"/>.</summary>
    internal RandomGenerator Random;

    internal SpinLock RandomLock;

    /// <summary>
    /// <see cref="Stopwatch.Now"/> at the start order, at the first entry of vCPU 0, and when the guest said that its
    /// memory is dirty; 0 before.
    /// </summary>
    internal ulong StartedAt;

    internal ulong EnteredAt;

    internal ulong FilledAt;

    /// <summary>CNTPCT_EL0 when the guest last wrote to its UART, or had something for a stream; 0 before.</summary>
    internal ulong PrintedCount;

    /// <summary>CNTVOFF_EL2: the guest's time begins when it is made, a child's goes on from the freeze.</summary>
    internal ulong CounterOffset;

    /// <summary>The VM that this one was forked from; null for one that booted.</summary>
    internal Vm* Template;

    /// <summary>Its children, when it is a template.</summary>
    internal Offspring Offspring;

    /// <summary>The guest's counters at the freeze: where a child's time begins.</summary>
    internal ulong FrozenCount;

    /// <summary>CNTPCT_EL0 when the last vCPU of a child was about to enter its guest.</summary>
    internal ulong ArrivedCount;

    /// <summary>What the scheduler counts its vCPUs as; 0 where it does not know them.</summary>
    internal int Admitted;

    /// <summary>Where its guest finds stolen times; 0 as long as it has not looked.</summary>
    internal ulong StolenTimePage;

    /// <summary>What the guest printed last did not end a line.</summary>
    internal bool IsMidLine;

    /// <summary>To stop, the low half; to freeze, the high one. Every turn looks at both.</summary>
    private ulong _requests;
    private int _onTheWay;
    private int _reasonLength;
    private byte* _reason;
    private VcpuArray _vcpus;

    /// <summary>Bytes of a VM's record that are not all zero: vCPUs that it has not are untouched.</summary>
    internal int UsedBytes => (int)((byte*)(FirstVcpu + Options.VcpuCount) - (byte*)Unsafe.AsPointer(ref this));

    /// <summary>Starts a VM in a slot that is all zero.</summary>
    internal void Initialize(ulong id, int slot)
    {
        Id = id;
        Slot = slot;
        Unsafe.SkipInit(out _vcpus);
    }

    /// <summary>The vCPU at an index below <see cref="VmOptions.VcpuCount"/>. A VM's slot is never moved.</summary>
    internal Vcpu* VcpuAt(int index) => (Vcpu*)Unsafe.AsPointer(ref _vcpus[index]);

    /// <summary>vCPU 0; the others follow it.</summary>
    internal Vcpu* FirstVcpu => (Vcpu*)Unsafe.AsPointer(ref Unsafe.As<VcpuArray, Vcpu>(ref _vcpus));

    /// <summary>This VM's hardware boundary.</summary>
    internal El2Machine Machine => new((El2MachineState*)Unsafe.AsPointer(ref MachineState));

    /// <summary>An order, a guest or a fault ended the VM: every vCPU leaves its guest at its next exit.</summary>
    internal readonly bool IsStopRequested => ((uint)Volatile.Read(in _requests) & Requested) != 0;

    /// <summary>It is to be frozen: every vCPU leaves its guest, and is saved, at its next exit.</summary>
    internal readonly bool IsFreezeRequested => (Volatile.Read(in _requests) >> 32) != 0;

    /// <summary>No vCPU of it may go on.</summary>
    internal readonly bool MustLeave
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Volatile.Read(in _requests) & AnyRequested) != 0;
    }

    [UnscopedRef]
    private ref uint StopRequest => ref Unsafe.As<ulong, uint>(ref _requests);

    [UnscopedRef]
    private ref uint FreezeRequest => ref Unsafe.Add(ref Unsafe.As<ulong, uint>(ref _requests), 1);

    /// <summary>Why it ended, for people.</summary>
    [UnscopedRef]
    internal readonly ReadOnlySpan<byte> StopReason => new(_reason, _reasonLength);

    /// <summary>
    /// Ends the VM. The first request's reason stays. Kicks each core that runs one of its vCPUs, and the monitor's.
    /// </summary>
    /// <param name="reason">Why, for people: a literal, which lies in the image.</param>
    internal void RequestStop(ReadOnlySpan<byte> reason)
    {
        if (Interlocked.CompareExchange(ref StopRequest, BeingRequested, 0) == 0)
        {
            _reason = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(reason));
            _reasonLength = reason.Length;
            Volatile.Write(ref StopRequest, Requested);
        }

        Interrupt();
        TellMonitor();
    }

    /// <summary>
    /// Stops the vCPUs, to be saved: the monitor's core does the rest. One that ends meanwhile ends.
    /// </summary>
    internal void RequestFreeze()
    {
        Volatile.Write(ref FreezeRequest, Requested);
        Interrupt();
        TellMonitor();
    }

    /// <summary>Whether all vCPUs are on their cores that were told to begin there with saved state.</summary>
    internal readonly bool HasArrived => Volatile.Read(in _onTheWay) == 0;

    /// <summary>So many vCPUs are told to.</summary>
    internal void AwaitArrivals(int count) => Volatile.Write(ref _onTheWay, count);

    /// <summary>One of them is there. The last one tells the monitor's core.</summary>
    internal void CountArrival()
    {
        if (Interlocked.Decrement(ref _onTheWay) == 0)
        {
            ArrivedCount = Instructions.ReadCounter();
            Platform.WakeMonitor();
        }
    }

    /// <summary>The vCPUs have stopped, and may go on.</summary>
    internal void EndFreezeRequest() => Volatile.Write(ref FreezeRequest, 0u);

    /// <summary>The monitor reaps or freezes it, unless the order is its own.</summary>
    private readonly void TellMonitor()
    {
        if (Core.Current->Vcpu != null)
        {
            VmTable.Leaving.Add(Slot);
            Platform.WakeMonitor();
        }
    }

    /// <summary>
    /// Makes those vCPUs leave their guests that are in one. The others see that they must leave before they enter, and
    /// the monitor's core takes them off their queues.
    /// </summary>
    private void Interrupt()
    {
        Vcpu* end = FirstVcpu + Options.VcpuCount;
        for (Vcpu* vcpu = FirstVcpu; vcpu < end; vcpu++)
        {
            vcpu->TryInterrupt();
        }
    }

    /// <summary>Makes vCPUs look at their orders, or at interrupts that another core gave them.</summary>
    /// <param name="vcpus">Bit n for vCPU n; bits of vCPUs that do not exist or have no core are ignored.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void KickVcpus(uint vcpus)
    {
        if (vcpus != 0)
        {
            KickSome(vcpus);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void KickSome(uint vcpus)
    {
        for (int i = 0; i < Options.VcpuCount; i++)
        {
            if ((vcpus & (1u << i)) != 0)
            {
                VcpuAt(i)->Kick();
            }
        }
    }

    [InlineArray(MaximumVcpus)]
    private struct VcpuArray
    {
        private Vcpu _first;
    }
}
