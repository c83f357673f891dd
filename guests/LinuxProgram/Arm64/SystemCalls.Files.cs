using System;
using Number = Quietus.LinuxProgram.SystemCallNumber;

namespace Quietus.LinuxProgram;

// Files, folders and descriptors. Invariant: as in SystemCalls.cs. A path given as a pointer ends in 0 as well.
internal static unsafe partial class SystemCalls
{
    internal const long TryAgain = -11; // EAGAIN
    internal const long Exists = -17; // EEXIST
    internal const long IsBusy = -16; // EBUSY

    internal const ulong WriteOnly = 1; // O_WRONLY
    internal const ulong Create = 0x40; // O_CREAT
    internal const ulong Truncate = 0x200; // O_TRUNC
    internal const ulong NoTerminal = 0x100; // O_NOCTTY
    internal const ulong WithoutWaiting = 0x800; // O_NONBLOCK

    /// <summary>A file's kind, among the bits of its mode.</summary>
    internal const uint KindMask = 0xF000; // S_IFMT
    internal const uint RegularFile = 0x8000; // S_IFREG

    internal static long Open(byte* path, ulong flags, uint mode) =>
        Call(Number.OpenAt, HereFolder, (ulong)path, flags | CloseOnExec, mode);

    internal static long OpenToStay(ReadOnlySpan<byte> path, ulong flags) =>
        Call(Number.OpenAt, HereFolder, Address(path), flags);

    internal static long Write(int descriptor, byte* from, ulong bytes) =>
        Call(Number.Write, (ulong)descriptor, (ulong)from, bytes);

    internal static long SetMode(int descriptor, uint mode) => Call(Number.SetMode, (ulong)descriptor, mode);

    /// <summary>A file's mode and length (struct stat of arm64: mode at 16, length at 48).</summary>
    internal static long Status(int descriptor, out uint mode, out ulong bytes)
    {
        byte* status = stackalloc byte[128];
        long result = Call(Number.Status, (ulong)descriptor, (ulong)status);
        mode = *(uint*)(status + 16);
        bytes = *(ulong*)(status + 48);
        return result;
    }

    /// <summary>Both ends of a pipe that waits for nothing, the one to read from first.</summary>
    internal static long PipeWithoutWaiting(int* ends) => Call(Number.Pipe, (ulong)ends, CloseOnExec | WithoutWaiting);

    /// <summary>Lets reads and writes at a descriptor wait, or not.</summary>
    internal static long SetFlags(int descriptor, ulong flags) =>
        Call(Number.DescriptorControl, (ulong)descriptor, 4, flags);

    /// <summary>Makes a descriptor another one's copy, which stays open in a program.</summary>
    internal static long Duplicate(int from, int to) => Call(Number.Duplicate, (ulong)from, (ulong)to, 0);

    internal static long Enter(byte* folder) => Call(Number.Enter, (ulong)folder);

    internal static long Remove(ReadOnlySpan<byte> path) => Call(Number.RemoveAt, HereFolder, Address(path), 0);

    internal static long Link(ReadOnlySpan<byte> target, ReadOnlySpan<byte> path) =>
        Call(Number.LinkAt, Address(target), HereFolder, Address(path));

    /// <summary>Loads a kernel module.</summary>
    internal static long LoadModule(int descriptor) => Call(Number.LoadModule, (ulong)descriptor, Address("\0"u8), 0);

    /// <summary>A socket of AF_VSOCK that listens on a port, for every CID that the VM may get.</summary>
    internal static long ListenOnVsock(uint port)
    {
        const ulong Family = 40; // AF_VSOCK
        const ulong Stream = 1; // SOCK_STREAM
        const uint AnyCid = uint.MaxValue;
        const ulong Queue = 16;
        long socket = Call(Number.Socket, Family, Stream | CloseOnExec | WithoutWaiting, 0);
        if (socket < 0)
        {
            return socket;
        }

        // struct sockaddr_vm: family 2, reserved 2, port 4, CID 4, zeros.
        uint* address = stackalloc uint[4];
        address[0] = (uint)Family;
        address[1] = port;
        address[2] = AnyCid;
        address[3] = 0;
        long result = Call(Number.Bind, (ulong)socket, (ulong)address, 16);
        result = result < 0 ? result : Call(Number.Listen, (ulong)socket, Queue);
        return result < 0 ? result : socket;
    }

    internal static long Accept(int socket) => Call(Number.Accept, (ulong)socket, 0, 0, CloseOnExec | WithoutWaiting);

    internal static long InternetSocket() => Call(Number.Socket, 2, 2 | CloseOnExec, 0);

    /// <summary>Waits until one of the descriptors has what is asked of it; without end.</summary>
    internal static long Await(PollEntry* entries, int count) =>
        Call(Number.Poll, (ulong)entries, (ulong)count, 0, 0, 8);
}
