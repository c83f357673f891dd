using System.Numerics;
using System.Runtime.CompilerServices;
using Quietus.Hypervisor.Devices;
using Quietus.Hypervisor.Machine;

namespace Quietus.Hypervisor.Cores;

/// <summary>
/// A guest's self-hosted debug in the core that runs it: <see cref="DebugRegisters"/> says what it holds.
/// </summary>
/// <remarks>
/// While no vCPU that debugs is on a core, its break- and watchpoint registers and MDSCR_EL1 are zero.
/// Invariant of the unsafe code: the vCPU is this core's, in a VM slot that lives until the vCPU has stopped.
/// </remarks>
internal static unsafe class GuestDebug
{
    /// <summary>After a write by the guest: loads what the write can have changed.</summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="register">The number of the register that was written.</param>
    internal static void Load(Vcpu* vcpu, uint register)
    {
        if (SystemRegisterTraps.IsDebugPoint(
            register, in SystemRegisters.Identity, out DebugPointKind kind, out int index))
        {
            Write(kind, index, vcpu->Debug.PointForCore(kind, index));
        }

        Instructions.WriteMdscr(vcpu->Debug.ControlForCore);
    }

    /// <summary>The vCPU comes to a core whose points are clear, with what it has set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void LoadAll(Vcpu* vcpu)
    {
        if ((vcpu->Debug.PointsSet | vcpu->Debug.Control) != 0)
        {
            LoadUsed(vcpu); // else it is as the core is
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LoadUsed(Vcpu* vcpu)
    {
        for (ulong left = vcpu->Debug.PointsSet; left != 0; left &= left - 1)
        {
            int place = BitOperations.TrailingZeroCount(left);
            DebugPointKind kind = (DebugPointKind)(place / DebugRegisters.MostPoints);
            int index = place % DebugRegisters.MostPoints;
            Write(kind, index, vcpu->Debug.PointForCore(kind, index));
        }

        Instructions.WriteMdscr(vcpu->Debug.ControlForCore);
    }

    /// <summary>The vCPU begins anew: what it set is gone.</summary>
    internal static void Reset(Vcpu* vcpu)
    {
        Unload(vcpu);
        vcpu->Debug = default;
    }

    /// <summary>The vCPU leaves its core, whose MDSCR_EL1 is reset with the rest of EL1: its points are gone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Unload(Vcpu* vcpu)
    {
        for (ulong left = vcpu->Debug.PointsSet; left != 0; left &= left - 1)
        {
            Instructions.WriteDebugPoint((ulong)BitOperations.TrailingZeroCount(left), 0);
        }
    }

    /// <summary>Clears every debug register that this core has; after a reset they hold anything.</summary>
    internal static void ClearCore()
    {
        ulong features = Instructions.ReadIdAa64Dfr0();
        int breakpoints = (int)((features >> 12) & 0xF);
        int watchpoints = (int)((features >> 20) & 0xF);
        Instructions.WriteMdscr(0);
        for (int i = 0; i <= breakpoints; i++)
        {
            Write(DebugPointKind.BreakpointControl, i, 0);
            Write(DebugPointKind.BreakpointValue, i, 0);
        }

        for (int i = 0; i <= watchpoints; i++)
        {
            Write(DebugPointKind.WatchpointControl, i, 0);
            Write(DebugPointKind.WatchpointValue, i, 0);
        }
    }

    private static void Write(DebugPointKind kind, int index, ulong value) =>
        Instructions.WriteDebugPoint((ulong)(((int)kind * DebugRegisters.MostPoints) + index), value);
}
