using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using Quietus.Hypervisor.Machine;
using Quietus.Memory;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// One physical core. TPIDR_EL2 points at it; the assembly knows the first fields by their offsets. A core runs the
/// vCPUs that <see cref="Dispatcher"/> gives it; core 0 is the monitor's first (<see cref="IsMonitorWanted"/>).
/// </summary>
/// <remarks>Invariant: TPIDR_EL2 holds the address of this core's record from its first instruction in C# on.</remarks>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal unsafe struct Core
{
    /// <summary>The guest registers that the next exit saves to (Boot/Vectors.S).</summary>
    [FieldOffset(0)]
    internal VcpuContext* Context;

    [FieldOffset(8)]
    internal ulong StackTop;

    /// <summary>EL2's tables, for a core whose MMU is still off (Boot/Start.S).</summary>
    [FieldOffset(16)]
    internal ulong TranslationTable;

    [FieldOffset(24)]
    internal ulong FaultStackTop;

    [FieldOffset(32)]
    internal ulong StackBottom;

    /// <summary>Position among the machine's cores; the boot core is 0.</summary>
    [FieldOffset(40)]
    internal uint Index;

    /// <summary>1 once the core has reported for duty.</summary>
    [FieldOffset(44)]
    private uint _online;

    /// <summary>MPIDR_EL1's affinity fields.</summary>
    [field: FieldOffset(48)]
    internal ulong Affinity { get; private set; }

    /// <summary>This core's redistributor, physical address of its first frame.</summary>
    [FieldOffset(56)]
    internal ulong Redistributor;

    /// <summary>The vCPU that this core runs; null when it is idle.</summary>
    [FieldOffset(64)]
    private nuint _vcpu;

    /// <summary>
    /// Rounds of the loop that clears the branch history before an indirect branch (Boot/Vectors.S); 0 for none.
    /// </summary>
    [FieldOffset(72)]
    internal ulong BranchHistoryRounds;

    /// <summary>The function that the firmware is called with at each exit from a guest; 0 for none.</summary>
    [FieldOffset(80)]
    internal ulong FirmwareWorkaround;

    /// <summary>What makes it look around: ICC_SGI1R_EL1's value.</summary>
    [FieldOffset(88)]
    private ulong _kick;

    /// <summary>What its EL2 timer is set to; the greatest value when it is off, 0 when it has fired.</summary>
    [FieldOffset(96)]
    internal ulong TimerAt;

    /// <summary>How many list registers may hold something, the first ones: of its vCPU, or of the last one.</summary>
    [FieldOffset(108)]
    internal int ListRegisters;

    /// <summary>1 when the core has to look at its queue.</summary>
    [FieldOffset(104)]
    private byte _mustSchedule;

    /// <summary>1 when the monitor has to look around; core 0's alone is ever set.</summary>
    [FieldOffset(105)]
    private byte _isMonitorWanted;

    /// <summary>Both, and two bytes that are always 0.</summary>
    [FieldOffset(104)]
    private uint _mustLook;

    /// <summary>Instructions that it has executed at EL2, up to its last wait (<see cref="OwnWork"/>).</summary>
    [FieldOffset(112)]
    internal ulong OwnInstructions;

    /// <summary>What its counter was after its last wait.</summary>
    [FieldOffset(120)]
    internal uint OwnCount;

    /// <summary>Which vCPU of each VM it ran last; it alone looks.</summary>
    [FieldOffset(128)]
    internal LastVcpus LastVcpus;

    /// <summary>
    /// When the monitor is to look around by itself; the greatest value for never. Core 0's alone is ever set.
    /// </summary>
    [FieldOffset(160)]
    internal ulong MonitorAt;

    /// <summary>The last block that was being filled on core 0 was left for an interrupt.</summary>
    [FieldOffset(168)]
    internal bool HasLeftBlock;

    /// <summary>The core that this code runs on.</summary>
    internal static Core* Current
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Core*)Instructions.ReadCore();
    }

    internal bool IsOnline
    {
        get => Volatile.Read(ref _online) != 0;
        set => Volatile.Write(ref _online, value ? 1u : 0u);
    }

    /// <summary>The vCPU that it runs, from the scheduler's choice until nothing of it is left in the core.</summary>
    internal Vcpu* Vcpu
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (Vcpu*)Volatile.Read(ref Unsafe.As<nuint, ulong>(ref _vcpu));
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        set => Volatile.Write(ref Unsafe.As<nuint, ulong>(ref _vcpu), (ulong)value);
    }

    /// <summary>
    /// Its queue has changed, or its timer has fired. Set by any core before its kick, cleared by this one before it
    /// looks.
    /// </summary>
    internal bool MustSchedule
    {
        get => Volatile.Read(ref _mustSchedule) != 0;
        set => Volatile.Write(ref _mustSchedule, (byte)(value ? 1 : 0));
    }

    /// <summary>
    /// The monitor has something to look at, so core 0 runs no vCPU until it has. Set by any core, after what there is
    /// to look at and before the kick; cleared by core 0 before it looks.
    /// </summary>
    internal bool IsMonitorWanted
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Volatile.Read(ref _isMonitorWanted) != 0;
        set => Volatile.Write(ref _isMonitorWanted, (byte)(value ? 1 : 0));
    }

    /// <summary>Its vCPU may have to make room: <see cref="MustSchedule"/> or <see cref="IsMonitorWanted"/>.</summary>
    internal bool MustLook
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Volatile.Read(ref _mustLook) != 0;
    }

    /// <summary>
    /// It has something better to do than to scrub. It takes no interrupt to find that out; on core 0 one may be the
    /// monitor's.
    /// </summary>
    internal bool IsWanted =>
        MustSchedule || Instructions.ReadCounter() >= TimerAt || (Index == 0 && Instructions.IsInterruptPending);

    /// <summary>
    /// Its EL2 timer's interrupt has been taken: there is something to look at, which sets the timer anew. Its line
    /// stays up until then.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void NoteTimer()
    {
        if (MonitorAt <= TimerAt)
        {
            MonitorAt = ulong.MaxValue;
            IsMonitorWanted = true;
        }

        TimerAt = 0;
        MustSchedule = true;
    }

    /// <summary>The same, for a caller that takes interrupts until none is left.</summary>
    internal void StopFiredTimer()
    {
        if (TimerAt == 0)
        {
            TimerAt = ulong.MaxValue;
            Instructions.StopHypervisorTimer();
        }
    }

    /// <summary>Makes the core look at its orders.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly void Kick() => PhysicalGic.Kick(_kick);

    internal void SetAffinity(ulong affinity)
    {
        Affinity = affinity;
        _kick = PhysicalGic.KickOf(affinity);
    }
}
