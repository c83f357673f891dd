using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Internal.Runtime
{
    /// <summary>The type descriptor that ILC emits. Nothing here reads one.</summary>
    internal struct MethodTable
    {
        internal uint flags;
    }
}

namespace Internal.Runtime.CompilerHelpers
{
    /// <summary>
    /// What generated code calls when a check fails. Nothing catches: each ends in the image's panic.
    /// ThrowTypeLoadException and its like are left out on purpose, so that an API that Corelib lacks stops ILC.
    /// </summary>
    internal static class ThrowHelpers
    {
        [RuntimeImport("*", "quietus_check_failed"), MethodImpl(MethodImplOptions.InternalCall)]
        private static extern void CheckFailed(int code);

        internal static void ThrowIndexOutOfRangeException() => CheckFailed(1);

        internal static void ThrowDivideByZeroException() => CheckFailed(2);

        internal static void ThrowOverflowException() => CheckFailed(3);

        internal static void ThrowNullReferenceException() => CheckFailed(4);

        internal static void ThrowPlatformNotSupportedException() => CheckFailed(5);

        internal static void ThrowArgumentException() => CheckFailed(6);

        internal static void ThrowArgumentOutOfRangeException() => CheckFailed(7);

        internal static void ThrowFeatureBodyRemoved() => CheckFailed(8);

        internal static void ThrowInstanceBodyRemoved() => CheckFailed(9);

        internal static void ThrowUnavailableType() => CheckFailed(10);

        internal static void ThrowBodyRemoved() => CheckFailed(11);
    }

    internal static class StartupCodeHelpers;

    internal static class LdTokenHelpers;
}

namespace System
{
    /// <summary>Block moves and fills: ILC calls them by these names; the loops are in assembly.</summary>
    internal static unsafe class SpanHelpers
    {
        [RuntimeImport("*", "memmove"), MethodImpl(MethodImplOptions.InternalCall)]
        private static extern void* MemoryMove(void* destination, void* source, nuint bytes);

        [RuntimeImport("*", "memset"), MethodImpl(MethodImplOptions.InternalCall)]
        private static extern void* MemorySet(void* destination, int value, nuint bytes);

        internal static void Memmove(ref byte destination, ref byte source, nuint bytes) =>
            MemoryMove(Unsafe.AsPointer(ref destination), Unsafe.AsPointer(ref source), bytes);

        internal static void Fill(ref byte destination, byte value, nuint bytes) =>
            MemorySet(Unsafe.AsPointer(ref destination), value, bytes);

        internal static void ClearWithoutReferences(ref byte destination, nuint bytes) =>
            MemorySet(Unsafe.AsPointer(ref destination), 0, bytes);
    }
}

namespace System
{
    /// <summary>
    /// Moves that would need a write barrier, were there a collector: looked up by name, never linked.
    /// </summary>
    internal static class Buffer
    {
        [RuntimeImport("*", "RhBulkMoveWithWriteBarrier"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern void BulkMoveWithWriteBarrier(ref byte destination, ref byte source, nuint bytes);
    }
}

namespace System.Runtime
{
    /// <summary>
    /// Casts between reference types. There are no objects to cast, but ILC looks the helpers up; none has a body, so
    /// that code which needs one does not link.
    /// </summary>
    internal static unsafe class TypeCast
    {
        [RuntimeImport("*", "RhTypeCast_CheckCastAny"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern object CheckCastAny(Internal.Runtime.MethodTable* type, object value);

        [RuntimeImport("*", "RhTypeCast_CheckCastInterface"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern object CheckCastInterface(Internal.Runtime.MethodTable* type, object value);

        [RuntimeImport("*", "RhTypeCast_CheckCastClass"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern object CheckCastClass(Internal.Runtime.MethodTable* type, object value);

        [RuntimeImport("*", "RhTypeCast_CheckCastClassSpecial"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern object CheckCastClassSpecial(Internal.Runtime.MethodTable* type, object value);

        [RuntimeImport("*", "RhTypeCast_IsInstanceOfAny"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern object IsInstanceOfAny(Internal.Runtime.MethodTable* type, object value);

        [RuntimeImport("*", "RhTypeCast_IsInstanceOfInterface"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern object IsInstanceOfInterface(Internal.Runtime.MethodTable* type, object value);

        [RuntimeImport("*", "RhTypeCast_IsInstanceOfClass"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern object IsInstanceOfClass(Internal.Runtime.MethodTable* type, object value);

        [RuntimeImport("*", "RhTypeCast_IsInstanceOfException"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern bool IsInstanceOfException(Internal.Runtime.MethodTable* type, object value);
    }
}

namespace System.Runtime.InteropServices
{
    public interface IDynamicInterfaceCastable
    {
        RuntimeTypeHandle GetInterfaceImplementation(RuntimeTypeHandle interfaceType);

        bool IsInterfaceImplemented(RuntimeTypeHandle interfaceType, bool throwIfNotImplemented);

        internal static nint GetDynamicInterfaceImplementation(
            IDynamicInterfaceCastable instance, nint interfaceType, ushort slot) => 0;
    }
}

namespace System.Runtime.CompilerServices
{
    internal static class ClassConstructorRunner;
}
