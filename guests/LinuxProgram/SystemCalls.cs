using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Number = Quietus.LinuxProgram.SystemCallNumber;

namespace Quietus.LinuxProgram;

/// <summary>
/// The system calls that our programs for Linux need, by the numbers of the architecture
/// that is built for (<see cref="SystemCallNumber"/>). A result below 0 is an errno with its sign changed.
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

    internal static long MakeFolder(ReadOnlySpan<byte> path) =>
        Call(Number.MakeFolderAt, HereFolder, Address(path), 0x1ED);

    internal static long Mount(ReadOnlySpan<byte> type, ReadOnlySpan<byte> path) =>
        Call(Number.Mount, Address(type), Address(path), Address(type), 0, 0);

    internal static long Open(ReadOnlySpan<byte> path, ulong flags) =>
        Call(Number.OpenAt, HereFolder, Address(path), flags | CloseOnExec);

    internal static long Open(ReadOnlySpan<byte> path, ulong flags, ulong rights) =>
        Call(Number.OpenAt, HereFolder, Address(path), flags | CloseOnExec, rights);

    /// <summary>Makes another number lead to what a descriptor leads to.</summary>
    internal static long DuplicateTo(int descriptor, int number) =>
        Call(Number.Duplicate, (ulong)descriptor, (ulong)number, 0);

    internal static long Close(int descriptor) => Call(Number.Close, (ulong)descriptor);

    internal static long Read(int descriptor, void* to, ulong bytes) =>
        Call(Number.Read, (ulong)descriptor, (ulong)to, bytes);

    internal static long Write(int descriptor, ReadOnlySpan<byte> from) =>
        Call(Number.Write, (ulong)descriptor, Address(from), (ulong)from.Length);

    /// <summary>From the file's start: what /proc/sys takes, whatever was read from it.</summary>
    internal static long WriteAtStart(int descriptor, ReadOnlySpan<byte> from) =>
        Call(Number.WriteAt, (ulong)descriptor, Address(from), (ulong)from.Length, 0);

    internal static long Control(int descriptor, ulong request, ulong argument) =>
        Call(Number.Control, (ulong)descriptor, request, argument);

    /// <summary>Both ends of a pipe, the one to read from first.</summary>
    internal static long Pipe(int* ends) => Call(Number.Pipe, (ulong)ends, CloseOnExec);

    internal static long MapMemory(ulong bytes, ulong protection, ulong flags, int descriptor) =>
        Call(Number.MapMemory, 0, bytes, protection, flags, (ulong)descriptor);

    /// <summary>A file that has a name for people only, and no bytes yet.</summary>
    internal static long MakeFile(ReadOnlySpan<byte> name) => MakeFile(name, 1); // MFD_CLOEXEC

    internal static long MakeFile(ReadOnlySpan<byte> name, ulong flags) => Call(Number.MakeFile, Address(name), flags);

    /// <summary>Gives back what a file has in a range, and keeps its length.</summary>
    internal static long PunchHole(int descriptor, ulong offset, ulong bytes) =>
        Call(Number.PunchHole, (ulong)descriptor, 3, offset, bytes);

    internal static long Resize(int descriptor, ulong bytes) => Call(Number.Resize, (ulong)descriptor, bytes);

    /// <summary>Maps pages of a file, or of a device, from an offset in bytes on.</summary>
    internal static long MapFile(int descriptor, ulong offset, ulong bytes, ulong protection) =>
        Call(Number.MapMemory, 0, bytes, protection, Shared, (ulong)descriptor, offset);

    internal static long UnmapMemory(ulong start, ulong bytes) => Call(Number.UnmapMemory, start, bytes);

    internal static long Advise(ulong start, ulong bytes, ulong advice) => Call(Number.Advise, start, bytes, advice);

    /// <summary>A copy of this process, whose end is told by SIGCHLD; 0 in the copy.</summary>
    internal static long Fork() => Call(Number.Clone, 17);

    /// <summary>As <see cref="Fork"/>, but what one of them opens the other has open as well (CLONE_FILES).</summary>
    internal static long ForkSharingFiles() => Call(Number.Clone, 0x400 | 17);

    /// <summary>A file from which faults on memory that this process registers with it can be read.</summary>
    internal static long OpenUserFaults() => Call(Number.UserFaults, CloseOnExec);

    internal static long Kill(int process) => Call(Number.Kill, (ulong)process, 9);

    /// <summary>Waits for the end of a child; <paramref name="status"/> as wait(2) has it.</summary>
    internal static long Wait(int process, out int status)
    {
        int ended = 0;
        long result;
        do
        {
            result = Call(Number.Wait, (ulong)process, (ulong)&ended);
        }
        while (result == Interrupted);

        status = ended;
        return result;
    }

    /// <summary>Whether a child has ended, without waiting: its number then, 0 else; or an errno.</summary>
    internal static long HasEnded(int process, out int status)
    {
        int ended = 0;
        long result = Call(Number.Wait, (ulong)process, (ulong)&ended, 1); // WNOHANG
        status = ended;
        return result;
    }

    internal static long Sleep(ulong nanoseconds)
    {
        ulong* time = stackalloc ulong[2];
        time[0] = 0;
        time[1] = nanoseconds;
        return Call(Number.Sleep, (ulong)time);
    }

    internal static long RunOn(int processor)
    {
        ulong mask = 1UL << processor;
        return Call(Number.SetProcessors, 0, sizeof(ulong), (ulong)&mask);
    }

    /// <summary>Bit n is set when the process may run on processor n. Returns bytes, or an errno.</summary>
    internal static long Processors(out ulong mask)
    {
        ulong processors = 0;
        long result = Call(Number.GetProcessors, 0, sizeof(ulong), (ulong)&processors);
        mask = processors;
        return result;
    }

    /// <summary>
    /// Bit n of the words is set when the process may run on processor n. Returns bytes, or an errno.
    /// </summary>
    internal static long Processors(ulong* words, ulong bytes) => Call(Number.GetProcessors, 0, bytes, (ulong)words);

    /// <summary>From now on this process runs on these processors only.</summary>
    internal static long RunOn(ulong* words, ulong bytes) => Call(Number.SetProcessors, 0, bytes, (ulong)words);

    /// <summary>Seconds and nanoseconds of the clock that only goes forward (CLOCK_MONOTONIC).</summary>
    internal static long ReadClock(ulong* time) => Call(Number.Clock, 1, (ulong)time);

    /// <summary>Entries of an open folder, as struct linux_dirent64.</summary>
    internal static long ReadFolder(int descriptor, void* to, ulong bytes) =>
        Call(Number.ReadFolder, (ulong)descriptor, (ulong)to, bytes);

    internal static int ParentId() => (int)Call(Number.ParentId);

    internal static int UserId() => (int)Call(Number.UserId);

    /// <summary>From now on this process runs before every ordinary one, and until it waits (SCHED_FIFO).</summary>
    internal static long RunFirst()
    {
        const ulong FirstInFirstOut = 1;
        int priority = 99;
        return Call(Number.SetScheduler, 0, FirstInFirstOut, (ulong)&priority);
    }

    /// <summary>Ends this process when its parent does.</summary>
    internal static long EndWithParent() => Call(Number.ProcessControl, 1, 9);

    /// <summary>Fills in a struct sysinfo of 112 bytes.</summary>
    internal static long SystemInformation(void* to) => Call(Number.SystemInformation, (ulong)to);

    /// <summary>Fills in a struct utsname of six texts of 65 bytes.</summary>
    internal static long Names(void* to) => Call(Number.Names, (ulong)to);

    internal static long PowerOff() => Call(Number.Reboot, 0xFEE1DEAD, 672274793, 0x4321FEDC);

    internal static void Exit(int code) => Call(Number.ExitGroup, (ulong)code);

    internal static int ProcessId() => (int)Call(Number.ProcessId);

    /// <summary>perf_event_open(2) for a counter of what this process does, wherever it runs.</summary>
    internal static long OpenOwnCounter(void* attributes) =>
        Call(Number.OpenCounter, (ulong)attributes, 0, ulong.MaxValue, ulong.MaxValue, 8);

    /// <summary>perf_event_open(2) for a counter of everything that happens on one processor.</summary>
    internal static long OpenCounter(void* attributes, int processor) =>
        Call(Number.OpenCounter, (ulong)attributes, ulong.MaxValue, (ulong)processor, ulong.MaxValue, 8);

    private static ulong Address(ReadOnlySpan<byte> text) =>
        (ulong)Unsafe.AsPointer(ref MemoryMarshal.GetReference(text));

    private static long Call(long number, ulong a = 0, ulong b = 0, ulong c = 0, ulong d = 0, ulong e = 0) =>
        Call(number, a, b, c, d, e, 0);

    [RuntimeImport("*", "system_call"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern long Call(long number, ulong a, ulong b, ulong c, ulong d, ulong e, ulong f);
}
