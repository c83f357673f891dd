using System;

namespace Quietus.KvmProbe.Linux;

/// <summary>
/// A process that gives pages of a snapshot to children of another process when they fault (userfaultfd(2)): the other
/// way in which monitors restore. It has the snapshot mapped before the child begins, and reads one fault at a time.
/// </summary>
/// <remarks>
/// Invariant: the two processes share their open files, so that a number means the same in both; the buffers are as
/// large as the structures of include/uapi/linux/userfaultfd.h.
/// </remarks>
internal unsafe struct FaultHandler
{
    private const ulong Api = 0xAA;
    private const ulong AgreeOnApi = 0xC018AA3F; // UFFDIO_API: api, features, what there is
    private const ulong RegisterRange = 0xC020AA00; // UFFDIO_REGISTER: start, bytes, mode, what there is
    private const ulong CopyPage = 0xC028AA03; // UFFDIO_COPY: to, from, bytes, mode, what was done
    private const ulong Missing = 1; // UFFDIO_REGISTER_MODE_MISSING
    private const int MessageBytes = 32; // struct uffd_msg
    private const int AddressOffset = 16;
    private const byte PageFault = 0x12; // UFFD_EVENT_PAGEFAULT

    private int process;
    private int orders;
    private int ordersEnd;
    private int faults;

    /// <summary>Makes the process; it waits until memory is given to it.</summary>
    internal static FaultHandler Start(int snapshot, ulong bytes)
    {
        int* pipe = stackalloc int[2];
        Failure.Checked(SystemCalls.Pipe(pipe), "making a pipe"u8);
        FaultHandler made = default;
        made.orders = pipe[1];
        made.ordersEnd = pipe[0];
        made.process = (int)Failure.Checked(SystemCalls.ForkSharingFiles(), "making a fault handler"u8);
        if (made.process == 0)
        {
            Serve(snapshot, bytes, pipe[0]);
        }

        return made;
    }

    /// <summary>Has the process answer for memory that has no page yet.</summary>
    internal void Serve(in Memory memory)
    {
        faults = (int)Failure.Checked(SystemCalls.OpenUserFaults(), "opening userfaultfd"u8);
        ulong* api = stackalloc ulong[3];
        api[0] = Api;
        api[1] = 0;
        api[2] = 0;
        Failure.Checked(SystemCalls.Control(faults, AgreeOnApi, (ulong)api), "agreeing on userfaultfd"u8);
        ulong* range = stackalloc ulong[4];
        range[0] = memory.Start;
        range[1] = memory.Bytes;
        range[2] = Missing;
        range[3] = 0;
        Failure.Checked(SystemCalls.Control(faults, RegisterRange, (ulong)range), "registering memory"u8);
        ulong* order = stackalloc ulong[2];
        order[0] = (ulong)faults;
        order[1] = memory.Start;
        SystemCalls.Write(orders, new ReadOnlySpan<byte>(order, 2 * sizeof(ulong)));
    }

    /// <summary>The memory is gone: no fault comes any more.</summary>
    internal readonly void Close() => Failure.Checked(SystemCalls.Close(faults), "closing userfaultfd"u8);

    /// <summary>Ends the process.</summary>
    internal readonly void End()
    {
        SystemCalls.Kill(process);
        SystemCalls.Wait(process, out _);
        SystemCalls.Close(orders);
        SystemCalls.Close(ordersEnd);
    }

    /// <summary>The process's life, on another processor than its parent's; does not return.</summary>
    private static void Serve(int snapshot, ulong bytes, int orders)
    {
        Failure.Checked(SystemCalls.RunOn(1), "going to the second processor"u8);
        Memory source = Memory.MapFile(snapshot, bytes, isPrivate: false);
        ulong* order = stackalloc ulong[2];
        if (SystemCalls.Read(orders, order, 2 * sizeof(ulong)) != 2 * sizeof(ulong))
        {
            Failure.Stop("the fault handler was given no memory"u8, default, 0);
        }

        ulong start = order[1];
        byte* message = stackalloc byte[MessageBytes];
        ulong* copy = stackalloc ulong[5];
        while (true)
        {
            long got = SystemCalls.Read((int)order[0], message, MessageBytes);
            if (got != MessageBytes || message[0] != PageFault)
            {
                Failure.Stop("userfaultfd told something else than a fault"u8, default, got);
            }

            ulong offset = (*(ulong*)(message + AddressOffset) & ~(Options.PageBytes - 1)) - start;
            copy[0] = start + offset;
            copy[1] = source.Start + offset;
            copy[2] = Options.PageBytes;
            copy[3] = 0;
            copy[4] = 0;
            Failure.Checked(SystemCalls.Control((int)order[0], CopyPage, (ulong)copy), "giving a page"u8);
        }
    }
}
