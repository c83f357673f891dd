using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using Quietus.Wire;

namespace Quietus.FakeQemu;

/// <summary>
/// The agent's end of one conversation (docs/agent.md). Its programs are this host's, in this host's files, so that a
/// test sees real output, input and exit codes.
/// </summary>
internal sealed class FakeAgent
{
    public const uint Window = 64 * 1024;
    private const int Piece = 8 * 1024;
    private const int NoSuchFile = 2;

    private readonly FakeMachine _machine;
    private readonly int _slot;
    private readonly uint _stream;
    private readonly ulong _vm;
    private readonly BlockingCollection<byte[]> _incoming = [];
    private readonly object _sending = new();
    private uint _sent;
    private uint _limit;
    private uint _taken;
    private volatile bool _isOver;
    private volatile Process? _program;
    private FileStream? _put;
    private bool _hasTerminal;

    public FakeAgent(FakeMachine machine, int slot, uint stream, ulong vm, uint limit)
    {
        (_machine, _slot, _stream, _vm, _limit) = (machine, slot, stream, vm, limit);
        new Thread(Serve) { IsBackground = true }.Start();
    }

    /// <summary>The machine's thread has a message of this stream's.</summary>
    public void Take(in StreamMessage message)
    {
        switch (message.Kind)
        {
            case StreamKind.Data:
                _incoming.Add(message.Payload.ToArray());
                break;
            case StreamKind.Credit:
                lock (_sending)
                {
                    _limit = message.Limit;
                    Monitor.PulseAll(_sending);
                }

                break;
            case StreamKind.Reset:
                End();
                break;
            default:
                break;
        }
    }

    /// <summary>The VM, or the conversation, is over: so is its program.</summary>
    public void End()
    {
        lock (_sending)
        {
            _isOver = true;
            Monitor.PulseAll(_sending);
        }

        _incoming.CompleteAdding();
        try
        {
            _program?.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended.
        }
    }

    private void Serve()
    {
        if (_machine.Mode == "agent-garbage")
        {
            byte[] garbage = new byte[3000];
            new Random(3).NextBytes(garbage);
            SendBytes(garbage);
            return;
        }

        Send(JobKind.Hello, (ref PayloadWriter to) =>
            new JobHello { Version = JobFrame.Version, Vm = _vm }.Write(ref to));
        List<byte> waiting = [];
        try
        {
            foreach (byte[] bytes in _incoming.GetConsumingEnumerable())
            {
                waiting.AddRange(bytes);
                byte[] all = [.. waiting];
                int at = 0;
                while (all.Length - at >= JobFrame.HeaderBytes
                    && JobFrame.TryReadHeader(all.AsSpan(at), out JobKind kind, out int length)
                    && all.Length - at >= JobFrame.HeaderBytes + length)
                {
                    Obey(kind, all.AsSpan(at + JobFrame.HeaderBytes, length));
                    at += JobFrame.HeaderBytes + length;
                }

                waiting.RemoveRange(0, at);
                _taken += (uint)bytes.Length;
                byte[] credit = new byte[32];
                _machine.SendStream(credit.AsSpan(0, StreamMessage.WriteLimit(
                    credit, _slot, StreamKind.Credit, _stream, _taken + Window)));
            }
        }
        catch (Exception error) when (error is IOException or InvalidOperationException)
        {
            // The conversation is over.
        }
    }

    private void Obey(JobKind kind, ReadOnlySpan<byte> payload)
    {
        switch (kind)
        {
            case JobKind.Run when JobRun.TryRead(payload, out JobRun run, out PayloadReader texts):
                Run(run, texts);
                break;
            case JobKind.Input:
                try
                {
                    // As a terminal has it: Enter is the end of a line.
                    byte[] typed = payload.ToArray();
                    if (_hasTerminal)
                    {
                        typed.AsSpan().Replace((byte)'\r', (byte)'\n');
                    }

                    _program?.StandardInput.BaseStream.Write(typed);
                    _program?.StandardInput.BaseStream.Flush();
                }
                catch (IOException)
                {
                    // It does not read any more.
                }

                break;
            case JobKind.InputEnd:
                _program?.StandardInput.Close();
                break;
            case JobKind.Signal when _program is { } program:
                _ = NativeMethods.Kill(program.Id, payload[0]);
                break;
            case JobKind.Put when JobFile.TryRead(payload, out JobFile file):
                _put = File.Create(Encoding.UTF8.GetString(file.Path));
                File.SetUnixFileMode(_put.SafeFileHandle, (UnixFileMode)file.Mode);
                break;
            case JobKind.FileData:
                _put!.Write(payload);
                break;
            case JobKind.FileEnd:
                _put!.Dispose();
                Send(JobKind.Done, []);
                break;
            case JobKind.Get:
                Get(Encoding.UTF8.GetString(payload[..^1]));
                break;
            case JobKind.Size:
                break;
            case JobKind.Identity:
                Send(JobKind.Done, []);
                break;
            case JobKind.Freeze when _machine.Mode == "no-freeze":
                Fail(JobFailure.Freeze, 0);
                break;
            case JobKind.Freeze:
                byte[] reset = new byte[32];
                _machine.SendStream(reset.AsSpan(0, StreamMessage.WriteReset(
                    reset, _slot, _stream, StreamEnd.Frozen)));
                _machine.Freeze(_slot);
                break;
            default:
                Fail(JobFailure.Order, 0);
                break;
        }
    }

    private void Run(JobRun run, PayloadReader texts)
    {
        switch (_machine.Mode)
        {
            case "vm-dies":
                _machine.EndVm(_slot, "the VM has no memory left");
                return;
            case "dies-in-job":
                FakeMachine.Die();
                return;
            default:
                break;
        }

        _hasTerminal = (run.Flags & JobRun.Terminal) != 0;
        var start = new ProcessStartInfo
        {
            FileName = Encoding.UTF8.GetString(texts.Text()),
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = run.Folder.IsEmpty ? "/" : Encoding.UTF8.GetString(run.Folder),
        };
        if (!Directory.Exists(start.WorkingDirectory))
        {
            Fail(JobFailure.Folder, NoSuchFile);
            return;
        }

        if (!run.User.IsEmpty && !run.User.SequenceEqual("root"u8))
        {
            Fail(JobFailure.User, 0);
            return;
        }

        for (int i = 1; i < run.Arguments; i++)
        {
            start.ArgumentList.Add(Encoding.UTF8.GetString(texts.Text()));
        }

        start.Environment.Clear();
        for (int i = 0; i < run.Variables; i++)
        {
            string[] variable = Encoding.UTF8.GetString(texts.Text()).Split('=', 2);
            start.Environment[variable[0]] = variable[1];
        }

        try
        {
            _program = Process.Start(start)!;
        }
        catch (Win32Exception error)
        {
            Fail(JobFailure.Execute, (uint)error.NativeErrorCode);
            return;
        }

        Send(JobKind.Started, (ref PayloadWriter to) => to.Word(42));
        Process program = _program;
        var output = new Thread(() => Copy(program.StandardOutput.BaseStream, JobKind.Output)) { IsBackground = true };
        var errors = new Thread(() => Copy(program.StandardError.BaseStream, JobKind.Error)) { IsBackground = true };
        output.Start();
        errors.Start();
        new Thread(() =>
        {
            output.Join();
            errors.Join();
            program.WaitForExit();
            Send(JobKind.Exit, (ref PayloadWriter to) => new JobExit { Value = (byte)program.ExitCode }.Write(ref to));
        })
        {
            IsBackground = true,
        }.Start();
    }

    private void Copy(Stream from, JobKind kind)
    {
        byte[] buffer = new byte[Piece];
        try
        {
            int count;
            while ((count = from.Read(buffer)) > 0)
            {
                Send(kind, buffer.AsSpan(0, count));
            }
        }
        catch (IOException)
        {
            // It was killed.
        }
    }

    private void Get(string path)
    {
        if (!File.Exists(path))
        {
            Fail(JobFailure.Open, NoSuchFile);
            return;
        }

        byte[] bytes = File.ReadAllBytes(path);
        uint mode = (uint)File.GetUnixFileMode(path);
        Send(JobKind.File, (ref PayloadWriter to) =>
            new JobFile { Mode = mode, Bytes = (ulong)bytes.Length }.Write(ref to));
        for (int at = 0; at < bytes.Length; at += Piece)
        {
            Send(JobKind.Contents, bytes.AsSpan(at, Math.Min(Piece, bytes.Length - at)));
        }

        Send(JobKind.Done, []);
    }

    private delegate void Payload(ref PayloadWriter to);

    private void Fail(JobFailure what, uint errno) => Send(
        JobKind.Failed, (ref PayloadWriter to) => new JobFailed { What = what, Errno = errno }.Write(ref to));

    private void Send(JobKind kind, Payload write)
    {
        var to = new PayloadWriter(new byte[4096]);
        write(ref to);
        Send(kind, to.Written);
    }

    private void Send(JobKind kind, ReadOnlySpan<byte> payload)
    {
        byte[] frame = new byte[JobFrame.HeaderBytes + payload.Length];
        JobFrame.WriteHeader(frame, kind, payload.Length);
        payload.CopyTo(frame.AsSpan(JobFrame.HeaderBytes));
        SendBytes(frame);
    }

    /// <summary>Sends bytes as the host's limit allows. A frame goes out whole before another begins.</summary>
    private void SendBytes(ReadOnlySpan<byte> bytes)
    {
        lock (_sending)
        {
            byte[] message = new byte[FrameFormat.MaximumPayload];
            while (!bytes.IsEmpty && !_isOver)
            {
                int count = (int)Math.Min(Math.Min(_limit - _sent, StreamMessage.MostData), (uint)bytes.Length);
                if (count == 0)
                {
                    Monitor.Wait(_sending);
                    continue;
                }

                int at = StreamMessage.WriteHeader(message, _slot, StreamKind.Data, _stream);
                bytes[..count].CopyTo(message.AsSpan(at));
                _machine.SendStream(message.AsSpan(0, at + count));
                _sent += (uint)count;
                bytes = bytes[count..];
            }
        }
    }

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "kill")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Kill(int pid, int signal);
    }
}
