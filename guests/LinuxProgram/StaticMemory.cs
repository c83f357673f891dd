using System.Runtime.CompilerServices;

namespace Quietus.LinuxProgram;

/// <summary>Addresses of static fields, which never move: buffers that system calls read and write.</summary>
/// <remarks>Invariant: only static fields are passed, so an address is good as long as the program runs.</remarks>
internal static unsafe class StaticMemory
{
    internal static byte* AddressOf<T>(ref T field)
        where T : struct => (byte*)Unsafe.AsPointer(ref field);
}
