using System;
using System.Runtime;
using System.Runtime.CompilerServices;
using Quietus.LinuxProgram;
using Quietus.Wire;

namespace Quietus.Agent.Jobs;

/// <summary>A program that the host has ordered, and the agent's ends of its streams; -1 where there is none.</summary>
/// <remarks>
/// Invariant: what the child reads is static memory, or the frame with the order, and this process stands still until
/// the child has executed its program or has exited.
/// </remarks>
internal static unsafe class Program
{
    private const ulong Unlock = 0x4004_5431; // TIOCSPTLCK
    private const ulong Peer = 0x5441; // TIOCGPTPEER
    private const ulong SetSize = 0x5414; // TIOCSWINSZ
    private const ulong SetControl = 0x540E; // TIOCSCTTY
    private const byte EndOfFile = 4;

    private const int StackBytes = 16 * 1024;
    private const int MostPath = 4096;

    private static byte** _arguments;
    private static byte** _environment;
    private static byte* _folder;
    private static uint _user;
    private static uint _group;
    private static int _terminal;
    private static JobFailure _what;
    private static long _why;

    /// <summary>Its process and group; 0 when there is none.</summary>
    internal static int Process { get; private set; }

    /// <summary>Where its standard input is written to; the terminal's other end, when it has one.</summary>
    internal static int Input { get; private set; } = -1;

    /// <summary>Where its output is read from.</summary>
    internal static int Output { get; private set; } = -1;

    /// <summary>Where its errors are read from.</summary>
    internal static int Error { get; private set; } = -1;

    /// <summary>The child's stack, aligned as the procedure call standard wants it.</summary>
    private static void* TopOfStack => (void*)((ulong)(StaticMemory.AddressOf(ref Buffers.Stack) + StackBytes) & ~15UL);

    private static bool HasTerminal => _terminal >= 0;

    /// <summary>Starts it. False: <paramref name="failed"/> says why not, and nothing is left of it.</summary>
    internal static bool TryStart(in JobRun run, PayloadReader texts, out JobFailed failed)
    {
        _what = JobFailure.User;
        _why = 0;
        _terminal = -1;
        bool isStarted = Users.TryFind(run.User, out _user, out _group, out _folder) && TryMakeStreams(in run);
        if (isStarted)
        {
            Point(in run, texts);
            _what = JobFailure.Resources;
            int* ends = (int*)StaticMemory.AddressOf(ref Buffers.Ends);
            long process = SystemCalls.Spawn(TopOfStack);
            CloseChildEnds(ends);
            isStarted = process > 0 && _why == 0;
            _why = process < 0 ? process : _why;
            Process = process > 0 ? (int)process : 0;
        }

        failed = new JobFailed { What = _what, Errno = (uint)-_why };
        if (!isStarted)
        {
            if (Process != 0)
            {
                SystemCalls.Wait(Process, out _);
            }

            Forget();
        }

        return isStarted;
    }

    /// <summary>It has ended, and all that it wrote was read.</summary>
    internal static void Forget()
    {
        Process = 0;
        CloseInput();
        CloseOutput();
        CloseError();
        _terminal = -1;
    }

    /// <summary>There is no more input: a terminal is told by a character.</summary>
    internal static void EndInput()
    {
        if (HasTerminal)
        {
            byte end = EndOfFile;
            SystemCalls.Write(_terminal, &end, 1);
        }
        else
        {
            CloseInput();
        }
    }

    internal static void CloseInput() => Input = Closed(Input);

    internal static void CloseOutput() => Output = Closed(Output);

    internal static void CloseError() => Error = Closed(Error);

    internal static void Resize(ushort rows, ushort columns)
    {
        if (HasTerminal)
        {
            SystemCalls.Control(_terminal, SetSize, SizeOf(rows, columns));
        }
    }

    /// <summary>Sends its process group a signal.</summary>
    internal static void Signal(int signal)
    {
        if (Process > 1)
        {
            SystemCalls.Signal(-Process, signal);
        }
    }

    private static int Closed(int descriptor)
    {
        // The terminal is one descriptor for all: it is closed as the output.
        if (descriptor >= 0 && (descriptor != _terminal || descriptor == Output))
        {
            SystemCalls.Close(descriptor);
        }

        return -1;
    }

    private static ulong SizeOf(ushort rows, ushort columns)
    {
        // struct winsize: rows, columns, and two sizes in points.
        ref ulong size = ref Unsafe.As<Path, ulong>(ref Buffers.Path);
        size = rows | ((ulong)columns << 16);
        return (ulong)Unsafe.AsPointer(ref size);
    }

    private static bool TryMakeStreams(in JobRun run)
    {
        int* ends = (int*)StaticMemory.AddressOf(ref Buffers.Ends);
        for (int i = 0; i < 6; i++)
        {
            ends[i] = -1;
        }

        _what = JobFailure.Resources;
        if ((run.Flags & JobRun.Terminal) != 0)
        {
            _why = SystemCalls.Open(
                "/dev/ptmx"u8, SystemCalls.ReadWrite | SystemCalls.NoTerminal | SystemCalls.WithoutWaiting);
            if (_why < 0)
            {
                return false;
            }

            _terminal = (int)_why;
            int locked = 0;
            SystemCalls.Control(_terminal, Unlock, (ulong)&locked);
            _why = SystemCalls.Control(_terminal, Peer, SystemCalls.ReadWrite | SystemCalls.NoTerminal);
            Output = _terminal;
            Input = _terminal;
            if (_why < 0)
            {
                return false;
            }

            ends[0] = (int)_why;
            Resize(run.Rows, run.Columns);
            _why = 0;
            return true;
        }

        for (int i = 0; i < 6 && _why == 0; i += 2)
        {
            _why = SystemCalls.PipeWithoutWaiting(ends + i);
        }

        if (_why < 0)
        {
            for (int i = 0; i < 6; i++)
            {
                SystemCalls.Close(ends[i]);
            }

            return false;
        }

        (Input, Output, Error) = (ends[1], ends[2], ends[4]);
        (ends[1], ends[2], ends[4]) = (-1, -1, -1);
        (ends[1], ends[2]) = (ends[3], ends[5]);
        (ends[3], ends[5]) = (-1, -1);

        // A program expects its streams to wait.
        for (int i = 0; i < 3; i++)
        {
            SystemCalls.SetFlags(ends[i], i == 0 ? 0 : SystemCalls.WriteOnly);
        }

        return true;
    }

    private static void CloseChildEnds(int* ends)
    {
        for (int i = 0; i < 3; i++)
        {
            if (ends[i] >= 0)
            {
                SystemCalls.Close(ends[i]);
            }
        }
    }

    /// <summary>Arguments and environment as execve(2) takes them: where they are, in the order's frame.</summary>
    private static void Point(in JobRun run, PayloadReader texts)
    {
        byte** next = (byte**)StaticMemory.AddressOf(ref Buffers.Pointers);
        _arguments = next;
        next = Point(next, run.Arguments, ref texts);
        _environment = next;
        Point(next, run.Variables, ref texts);
        if (!run.Folder.IsEmpty)
        {
            _folder = PointerTo(run.Folder);
        }
    }

    private static byte** Point(byte** next, int count, ref PayloadReader texts)
    {
        for (int i = 0; i < count; i++)
        {
            *next++ = PointerTo(texts.Text());
        }

        *next++ = null;
        return next;
    }

    private static byte* PointerTo(ReadOnlySpan<byte> text) =>
        (byte*)Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetReference(text));

    /// <summary>In the child, on a stack of its own, in the agent's memory. Does not return.</summary>
    [RuntimeExport("job_child")]
    private static void RunChild()
    {
        int* ends = (int*)StaticMemory.AddressOf(ref Buffers.Ends);
        SystemCalls.NewSession();
        for (int i = 0; i < 3; i++)
        {
            SystemCalls.Duplicate(HasTerminal ? ends[0] : ends[i], i);
        }

        if (HasTerminal)
        {
            SystemCalls.Control(0, SetControl, 0);
        }

        BeOrdinary();
        _what = JobFailure.Folder;
        _why = SystemCalls.Enter(_folder);
        if (_why >= 0 && (_user | _group) != 0)
        {
            _what = JobFailure.User;
            _why = SystemCalls.SetGroup(_group);
            _why = _why < 0 ? _why : SystemCalls.SetUser(_user);
        }

        if (_why >= 0)
        {
            _what = JobFailure.Execute;
            SystemCalls.BlockSignals(0);
            Execute();
        }

        while (true)
        {
            SystemCalls.Exit(127);
        }
    }

    /// <summary>The program has no more right to memory than others, and files for all to read.</summary>
    private static void BeOrdinary()
    {
        const uint WriteByOthers = 0x12; // 022
        SystemCalls.SetFileMask(WriteByOthers);
        long file = SystemCalls.Open("/proc/self/oom_score_adj"u8, SystemCalls.WriteOnly);
        if (file >= 0)
        {
            SystemCalls.Write((int)file, "0"u8);
            SystemCalls.Close((int)file);
        }
    }

    /// <summary>Executes the program: as it is named where the name has a slash, else along PATH.</summary>
    private static void Execute()
    {
        const long NoFile = -2; // ENOENT
        const long NoLeave = -13; // EACCES
        const long NoFolder = -20; // ENOTDIR
        byte* name = _arguments[0];
        ReadOnlySpan<byte> program = TextAt(name);
        for (int i = 0; i < program.Length; i++)
        {
            if (program[i] == '/')
            {
                _why = SystemCalls.Execute(name, _arguments, _environment);
                return;
            }
        }

        ReadOnlySpan<byte> folders = FindPath();
        long worst = NoFile;
        while (!program.IsEmpty)
        {
            int end = 0;
            while (end < folders.Length && folders[end] != ':')
            {
                end++;
            }

            long result = TryIn(folders.Slice(0, end), program);
            worst = result is NoFile or NoFolder ? worst : result;
            if (end == folders.Length || result is not (NoFile or NoLeave or NoFolder))
            {
                break;
            }

            folders = folders.Slice(end + 1);
        }

        _why = worst;
    }

    private static long TryIn(ReadOnlySpan<byte> folder, ReadOnlySpan<byte> program)
    {
        const long TooLong = -36; // ENAMETOOLONG
        byte* path = StaticMemory.AddressOf(ref Buffers.Path);
        var to = new Span<byte>(path, MostPath);
        if (folder.Length + program.Length + 2 > MostPath)
        {
            return TooLong;
        }

        folder.CopyTo(to);
        int at = folder.Length;
        if (at != 0)
        {
            to[at++] = (byte)'/';
        }

        program.CopyTo(to.Slice(at));
        to[at + program.Length] = 0;
        return SystemCalls.Execute(path, _arguments, _environment);
    }

    private static ReadOnlySpan<byte> FindPath()
    {
        for (byte** variable = _environment; *variable != null; variable++)
        {
            ReadOnlySpan<byte> text = TextAt(*variable);
            if (text.Length >= 5 && text.Slice(0, 5).SequenceEqual("PATH="u8))
            {
                return text.Slice(5);
            }
        }

        return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"u8;
    }

    private static ReadOnlySpan<byte> TextAt(byte* text)
    {
        int length = 0;
        while (text[length] != 0)
        {
            length++;
        }

        return new ReadOnlySpan<byte>(text, length);
    }

    /// <summary>Apart from the fields that begin with a value, so that the file has no room for them.</summary>
    private static class Buffers
    {
        internal static Stack Stack;
        internal static Pointers Pointers;
        internal static Path Path;
        internal static Ends Ends;
    }

    [InlineArray(StackBytes / 8)]
    private struct Stack
    {
        private ulong _first;
    }

    [InlineArray(JobRun.MostTexts + 2)]
    private struct Pointers
    {
        private ulong _first;
    }

    [InlineArray(MostPath / 8)]
    private struct Path
    {
        private ulong _first;
    }

    [InlineArray(6)]
    private struct Ends
    {
        private int _first;
    }
}
