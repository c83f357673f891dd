using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Quietus.LinuxProgram;

/// <summary>
/// The system calls that our programs for Linux need, by arm64's numbers (include/uapi/asm-generic/unistd.h). A result
/// below 0 is an errno with its sign changed.
/// </summary>
/// <remarks>
/// Invariant: a pointer that is handed over leads to as much memory of this process as the call reads or writes, for as
/// long as the call lasts; a path ends in 0, which the compiler sees to in u8 literals.
/// </remarks>
internal static unsafe partial class SystemCalls
{
    internal const long Interrupted = -4; // EINTR

    internal const ulong ReadWrite = 2; // O_RDWR
    internal const ulong Synchronously = 0x101000; // O_SYNC
    private const ulong Shared = 1; // MAP_SHARED
    private const ulong CloseOnExec = 0x80000; // O_CLOEXEC
    private const ulong HereFolder = unchecked((ulong)-100); // AT_FDCWD

    internal static long MakeFolder(ReadOnlySpan<byte> path) => Call(34, HereFolder, Address(path), 0x1ED);

    internal static long Mount(ReadOnlySpan<byte> type, ReadOnlySpan<byte> path) =>
        Call(40, Address(type), Address(path), Address(type), 0, 0);

    internal static long Open(ReadOnlySpan<byte> path, ulong flags) =>
        Call(56, HereFolder, Address(path), flags | CloseOnExec);

    internal static long Close(int descriptor) => Call(57, (ulong)descriptor);

    internal static long Read(int descriptor, void* to, ulong bytes) =>
        Call(63, (ulong)descriptor, (ulong)to, bytes);

    internal static long Write(int descriptor, ReadOnlySpan<byte> from) =>
        Call(64, (ulong)descriptor, Address(from), (ulong)from.Length);

    /// <summary>From the file's start: what /proc/sys takes, whatever was read from it.</summary>
    internal static long WriteAtStart(int descriptor, ReadOnlySpan<byte> from) =>
        Call(68, (ulong)descriptor, Address(from), (ulong)from.Length, 0);

    internal static long Control(int descriptor, ulong request, ulong argument) =>
        Call(29, (ulong)descriptor, request, argument);

    /// <summary>Both ends of a pipe, the one to read from first.</summary>
    internal static long Pipe(int* ends) => Call(59, (ulong)ends, CloseOnExec);

    internal static long MapMemory(ulong bytes, ulong protection, ulong flags, int descriptor) =>
        Call(222, 0, bytes, protection, flags, (ulong)descriptor);

    /// <summary>A file that has a name for people only, and no bytes yet.</summary>
    internal static long MakeFile(ReadOnlySpan<byte> name) => Call(279, Address(name), 1);

    internal static long Resize(int descriptor, ulong bytes) => Call(46, (ulong)descriptor, bytes);

    /// <summary>Maps pages of a file, or of a device, from an offset in bytes on.</summary>
    internal static long MapFile(int descriptor, ulong offset, ulong bytes, ulong protection) =>
        Call(222, 0, bytes, protection, Shared, (ulong)descriptor, offset);

    internal static long UnmapMemory(ulong start, ulong bytes) => Call(215, start, bytes);

    internal static long Advise(ulong start, ulong bytes, ulong advice) => Call(233, start, bytes, advice);

    /// <summary>A copy of this process, whose end is told by SIGCHLD; 0 in the copy.</summary>
    internal static long Fork() => Call(220, 17);

    /// <summary>As <see cref="Fork"/>, but what one of them opens the other has open as well (CLONE_FILES).</summary>
    internal static long ForkSharingFiles() => Call(220, 0x400 | 17);

    /// <summary>A file from which faults on memory that this process registers with it can be read.</summary>
    internal static long OpenUserFaults() => Call(282, CloseOnExec);

    internal static long Kill(int process) => Call(129, (ulong)process, 9);

    /// <summary>Waits for the end of a child; <paramref name="status"/> as wait(2) has it.</summary>
    internal static long Wait(int process, out int status)
    {
        int ended = 0;
        long result;
        do
        {
            result = Call(260, (ulong)process, (ulong)&ended);
        }
        while (result == Interrupted);

        status = ended;
        return result;
    }

    internal static long Sleep(ulong nanoseconds)
    {
        ulong* time = stackalloc ulong[2];
        time[0] = 0;
        time[1] = nanoseconds;
        return Call(101, (ulong)time);
    }

    internal static long RunOn(int processor)
    {
        ulong mask = 1UL << processor;
        return Call(122, 0, sizeof(ulong), (ulong)&mask);
    }

    /// <summary>Bit n is set when the process may run on processor n. Returns bytes, or an errno.</summary>
    internal static long Processors(out ulong mask)
    {
        ulong processors = 0;
        long result = Call(123, 0, sizeof(ulong), (ulong)&processors);
        mask = processors;
        return result;
    }

    /// <summary>From now on this process runs before every ordinary one, and until it waits (SCHED_FIFO).</summary>
    internal static long RunFirst()
    {
        const ulong FirstInFirstOut = 1;
        int priority = 99;
        return Call(119, 0, FirstInFirstOut, (ulong)&priority);
    }

    /// <summary>Ends this process when its parent does.</summary>
    internal static long EndWithParent() => Call(167, 1, 9);

    /// <summary>Fills in a struct sysinfo of 112 bytes.</summary>
    internal static long SystemInformation(void* to) => Call(179, (ulong)to);

    /// <summary>Fills in a struct utsname of six texts of 65 bytes.</summary>
    internal static long Names(void* to) => Call(160, (ulong)to);

    internal static long PowerOff() => Call(142, 0xFEE1DEAD, 672274793, 0x4321FEDC);

    internal static void Exit(int code) => Call(94, (ulong)code);

    internal static int ProcessId() => (int)Call(172);

    /// <summary>perf_event_open(2) for a counter of everything that happens on one processor.</summary>
    internal static long OpenCounter(void* attributes, int processor) =>
        Call(241, (ulong)attributes, ulong.MaxValue, (ulong)processor, ulong.MaxValue, 8);

    private static ulong Address(ReadOnlySpan<byte> text) =>
        (ulong)Unsafe.AsPointer(ref MemoryMarshal.GetReference(text));

    private static long Call(long number, ulong a = 0, ulong b = 0, ulong c = 0, ulong d = 0, ulong e = 0) =>
        Call(number, a, b, c, d, e, 0);

    [RuntimeImport("*", "system_call"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern long Call(long number, ulong a, ulong b, ulong c, ulong d, ulong e, ulong f);
}
