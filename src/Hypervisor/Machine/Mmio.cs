using System.Runtime.CompilerServices;
using System.Threading;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// Accesses to device registers, one instruction each, in program order. Volatile, so that the compiler neither drops
/// nor moves one: LDAR and STLR are as good as LDR and STR on Device memory.
/// </summary>
/// <remarks>
/// Invariant of every access here: the address comes from the machine's device tree, lies within the range that the
/// tree gives, and is mapped as Device memory for EL2's whole life.
/// </remarks>
internal static unsafe class Mmio
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Read32(ulong address) => Volatile.Read(ref *(uint*)address);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Write32(ulong address, uint value) => Volatile.Write(ref *(uint*)address, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Write8(ulong address, byte value) => Volatile.Write(ref *(byte*)address, value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Write64(ulong address, ulong value) => Volatile.Write(ref *(ulong*)address, value);
}
