using System;
using Quietus.Agent.Serving;
using Quietus.LinuxProgram;
using Quietus.Wire;

namespace Quietus.Agent.Jobs;

/// <summary>
/// One conversation, in a process of its own: reads orders, carries them out, and moves the bytes of one program
/// between its pipes and the link. A pipe that is full, or a link that takes nothing, holds up what belongs to it and
/// nothing else. When the host goes, the program is killed.
/// </summary>
/// <remarks>Invariant: payloads are in the link's buffers, which are static memory.</remarks>
internal static unsafe class Session
{
    private const int Kill = 9;

    private static int _endings;
    private static int _inputDone;
    private static bool _hasEnded;
    private static int _status;

    /// <summary>Holds the conversation, and does not return.</summary>
    internal static void Run(int link, int endings)
    {
        Link.Descriptor = link;
        _endings = endings;
        ulong vm = Machine.Vm;
        PayloadWriter hello = Link.Writer();
        new JobHello { Version = JobFrame.Version, Vm = vm }.Write(ref hello);
        bool isThere = Machine.TryBeItself(vm)
            ? Link.TrySend(JobKind.Hello, in hello)
            : Files.TryFail(new JobFailed { What = JobFailure.Identity });
        while (isThere)
        {
            isThere = TryOrders() && TryNews() && TryAwait();
        }

        Program.Signal(Kill);
        End();
    }

    /// <summary>The kernel has no process for the conversation.</summary>
    internal static void Refuse(int link, uint errno)
    {
        Link.Descriptor = link;
        PayloadWriter hello = Link.Writer();
        new JobHello { Version = JobFrame.Version, Vm = Machine.Vm }.Write(ref hello);
        _ = Link.TrySend(JobKind.Hello, in hello)
            && Files.TryFail(new JobFailed { What = JobFailure.Resources, Errno = errno });
    }

    private static void End()
    {
        while (true)
        {
            SystemCalls.Exit(0);
        }
    }

    /// <summary>Waits until something can go on. False: the host has gone.</summary>
    private static bool TryAwait()
    {
        const int Count = 5;
        PollEntry* entries = stackalloc PollEntry[Count];
        bool canSend = !Link.IsSending;
        bool hasInput = IsInputAtFront();
        int asked = (Link.HasRoom ? PollEntry.Readable : 0) | (canSend ? 0 : PollEntry.Writable);
        entries[0] = new PollEntry(Link.Descriptor, (short)asked);
        entries[1] = new PollEntry(_endings, PollEntry.Readable);
        entries[2] = new PollEntry(hasInput ? Program.Input : -1, PollEntry.Writable);
        entries[3] = new PollEntry(canSend ? Program.Output : -1, PollEntry.Readable);
        entries[4] = new PollEntry(canSend ? Program.Error : -1, PollEntry.Readable);
        if (canSend && (Files.IsGetting || (_hasEnded && Program.Process != 0)))
        {
            return Link.TryGoOn(); // there is something to send already
        }

        SystemCalls.Await(entries, Count);
        if (entries[1].Came != 0)
        {
            TakeEnding();
        }

        const int Over = 0x18; // POLLERR, POLLHUP
        if ((entries[0].Came & Over) != 0 && (entries[0].Came & PollEntry.Readable) == 0)
        {
            return false;
        }

        return ((entries[0].Came & PollEntry.Readable) == 0 || Link.TryReceive()) && Link.TryGoOn();
    }

    private static void TakeEnding()
    {
        byte* news = stackalloc byte[128];
        SystemCalls.Read(_endings, news, 128);
        int process = Program.Process;
        if (process != 0 && !_hasEnded && SystemCalls.WaitIfEnded(process, out int status) == process)
        {
            _hasEnded = true;
            _status = status;
        }
    }

    /// <summary>Sends what the program wrote, or its end, or a file's next bytes. False: the host has gone.</summary>
    private static bool TryNews()
    {
        if (Link.IsSending)
        {
            return true;
        }

        if (Files.IsGetting)
        {
            return Files.TrySendNext();
        }

        if (Program.Output >= 0)
        {
            long length = SystemCalls.Read(Program.Output, Link.Payload, Link.PieceBytes);
            if (length > 0)
            {
                return Link.TrySend(JobKind.Output, (int)length);
            }

            if (length != SystemCalls.TryAgain && !IsLiveTerminal())
            {
                Program.CloseOutput();
            }
        }

        if (Program.Error >= 0)
        {
            long length = SystemCalls.Read(Program.Error, Link.Payload, Link.PieceBytes);
            if (length > 0)
            {
                return Link.TrySend(JobKind.Error, (int)length);
            }

            if (length != SystemCalls.TryAgain)
            {
                Program.CloseError();
            }
        }

        if (!_hasEnded || Program.Process == 0)
        {
            return true;
        }

        // It has ended, and nothing was left to read.
        Program.Forget();
        _hasEnded = false;
        int signal = Server.SignalOf(_status);
        PayloadWriter to = Link.Writer();
        new JobExit { IsSignal = signal != 0, Value = (byte)(signal != 0 ? signal : _status >> 8) }.Write(ref to);
        return Link.TrySend(JobKind.Exit, in to);
    }

    /// <summary>A terminal that no program has open reads as an error, and may be opened again.</summary>
    private static bool IsLiveTerminal() => Program.Output == Program.Input && !_hasEnded;

    private static bool IsInputAtFront() =>
        Program.Input >= 0 && Link.TryPeek(out JobKind kind, out _, out _) && kind == JobKind.Input;

    /// <summary>Carries out the orders that have come. False: the host has gone, or makes no sense.</summary>
    private static bool TryOrders()
    {
        while (Link.TryPeek(out JobKind kind, out byte* payload, out int length))
        {
            if (kind == JobKind.Input)
            {
                if (!IsInputTaken(payload, length))
                {
                    return true;
                }
            }
            else if (Answers(kind) && (Link.IsSending || Files.IsGetting))
            {
                return true;
            }
            else if (!TryCarryOut(kind, payload, length))
            {
                return false;
            }

            Link.Drop(length);
        }

        return !IsNoFrame();
    }

    private static bool IsNoFrame()
    {
        Link.TryPeek(out _, out _, out int length);
        return length < 0;
    }

    private static bool Answers(JobKind kind) => kind is not (JobKind.InputEnd or JobKind.Signal or JobKind.Size
        or JobKind.Put or JobKind.FileData);

    /// <summary>Writes input on to the program. True when all of it is written, or not wanted.</summary>
    private static bool IsInputTaken(byte* payload, int length)
    {
        while (Program.Input >= 0 && _inputDone < length)
        {
            long result = SystemCalls.Write(Program.Input, payload + _inputDone, (ulong)(length - _inputDone));
            if (result == SystemCalls.TryAgain)
            {
                return false;
            }

            if (result < 0)
            {
                Program.CloseInput(); // the program reads no more
            }

            _inputDone += result > 0 ? (int)result : 0;
        }

        _inputDone = 0;
        return true;
    }

    private static bool TryCarryOut(JobKind kind, byte* payload, int length)
    {
        var bytes = new ReadOnlySpan<byte>(payload, length);
        var from = new PayloadReader(bytes);
        switch (kind)
        {
            case JobKind.Run:
                return TryRun(bytes);
            case JobKind.InputEnd:
                Program.EndInput();
                return true;
            case JobKind.Signal:
                int signal = from.Byte();
                if (from.IsWhole)
                {
                    Program.Signal(signal);
                }

                return true;
            case JobKind.Size:
                ushort rows = from.Half();
                ushort columns = from.Half();
                if (from.IsWhole)
                {
                    Program.Resize(rows, columns);
                }

                return true;
            case JobKind.Put when JobFile.TryRead(bytes, out JobFile file) && !Files.IsPutting && !Files.IsGetting:
                Files.BeginPut(in file, payload + sizeof(uint) + sizeof(ulong));
                return true;
            case JobKind.FileData when Files.IsPutting:
                Files.TakeData(payload, length);
                return true;
            case JobKind.FileEnd when Files.IsPutting:
                return Files.TryEndPut();
            case JobKind.Get when length > 1 && payload[length - 1] == 0 && !Files.IsPutting:
                return Files.TryBeginGet(payload);
            case JobKind.Identity when JobIdentity.TryRead(bytes, out JobIdentity identity):
                return TryIdentify(in identity);
            case JobKind.Ping:
                bytes.CopyTo(new Span<byte>(Link.Payload, length));
                return Link.TrySend(JobKind.Pong, length);
            case JobKind.Freeze:
                return TryFreeze();
            default:
                return Files.TryFail(new JobFailed { What = JobFailure.Order });
        }
    }

    private static bool TryRun(ReadOnlySpan<byte> order)
    {
        if (Program.Process != 0 || !JobRun.TryRead(order, out JobRun run, out PayloadReader texts))
        {
            return Files.TryFail(new JobFailed { What = JobFailure.Order });
        }

        _hasEnded = false;
        _inputDone = 0;
        if (!Program.TryStart(in run, texts, out JobFailed failed))
        {
            return Files.TryFail(failed);
        }

        PayloadWriter to = Link.Writer();
        to.Word((uint)Program.Process);
        return Link.TrySend(JobKind.Started, in to);
    }

    private static bool TryIdentify(in JobIdentity identity)
    {
        long result = identity.Nanoseconds == 0 ? 0 : SystemCalls.SetClock(identity.Nanoseconds);
        result = result < 0 || identity.Name.IsEmpty ? result : SystemCalls.SetHostName(identity.Name);
        return result < 0
            ? Files.TryFail(new JobFailed { What = JobFailure.Identity, Errno = (uint)-result })
            : Link.TrySend(JobKind.Done, 0);
    }

    /// <summary>Makes a template of the VM. In a child the conversation is over, with its connection.</summary>
    private static bool TryFreeze()
    {
        if (!Birth.Await())
        {
            return Files.TryFail(new JobFailed { What = JobFailure.Freeze });
        }

        SharedPage.RenewedFor = Machine.Vm;
        return false;
    }
}
