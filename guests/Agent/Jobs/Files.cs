using System;
using Quietus.LinuxProgram;
using Quietus.Wire;

namespace Quietus.Agent.Jobs;

/// <summary>The one file that is put or read in a conversation.</summary>
/// <remarks>Invariant: a path ends in 0, in the order's frame; a payload is in one of the link's buffers.</remarks>
internal static unsafe class Files
{
    private static int _file = -1;
    private static ulong _left;
    private static JobFailed _failed;
    private static bool _isFailed;

    /// <summary>Whether a file is put: data and an end are to come.</summary>
    internal static bool IsPutting { get; private set; }

    /// <summary>Whether a file is read: <see cref="TrySendNext"/> sends the next of it.</summary>
    internal static bool IsGetting { get; private set; }

    /// <summary>Begins a file. What goes wrong is told at its end.</summary>
    internal static void BeginPut(in JobFile file, byte* path)
    {
        IsPutting = true;
        _isFailed = false;
        _left = file.Bytes;
        long result = SystemCalls.Open(
            path,
            SystemCalls.WriteOnly | SystemCalls.Create | SystemCalls.Truncate | SystemCalls.NoTerminal,
            file.Mode);
        _file = (int)result;
        Note(JobFailure.Open, result);
        if (result >= 0)
        {
            Note(JobFailure.Open, SystemCalls.SetMode(_file, file.Mode));
        }
    }

    internal static void TakeData(byte* data, int length)
    {
        if ((ulong)length > _left)
        {
            Note(JobFailure.Order, -22); // EINVAL
        }

        _left -= Math.Min((ulong)length, _left);
        for (int done = 0; done < length && !_isFailed;)
        {
            long result = SystemCalls.Write(_file, data + done, (ulong)(length - done));
            done += result > 0 ? (int)result : 0;
            Note(JobFailure.Write, result == 0 ? -5 : result); // EIO
        }
    }

    /// <summary>The file is whole. False: the host has gone.</summary>
    internal static bool TryEndPut()
    {
        if (_left != 0)
        {
            Note(JobFailure.Order, -22);
        }

        IsPutting = false;
        CloseFile(JobFailure.Write);
        return _isFailed ? TryFail(_failed) : Link.TrySend(JobKind.Done, 0);
    }

    /// <summary>Begins to read a file. False: the host has gone.</summary>
    internal static bool TryBeginGet(byte* path)
    {
        _isFailed = false;
        long result = SystemCalls.Open(path, SystemCalls.NoTerminal | SystemCalls.WithoutWaiting, 0);
        _file = (int)result;
        Note(JobFailure.Open, result);
        uint mode = 0;
        ulong bytes = 0;
        if (!_isFailed)
        {
            Note(JobFailure.Open, SystemCalls.Status(_file, out mode, out bytes));
            if ((mode & SystemCalls.KindMask) != SystemCalls.RegularFile)
            {
                Note(JobFailure.Open, (mode & SystemCalls.KindMask) == 0x4000 ? -21 : -22); // EISDIR, EINVAL
            }
        }

        if (_isFailed)
        {
            CloseFile(JobFailure.Read);
            return TryFail(_failed);
        }

        IsGetting = true;
        PayloadWriter to = Link.Writer();
        new JobFile { Mode = mode & 0xFFF, Bytes = bytes }.Write(ref to);
        return Link.TrySend(JobKind.File, in to);
    }

    /// <summary>Sends the next of the file that is read. False: the host has gone.</summary>
    internal static bool TrySendNext()
    {
        long length = SystemCalls.Read(_file, Link.Payload, Link.PieceBytes);
        if (length > 0)
        {
            return Link.TrySend(JobKind.Contents, (int)length);
        }

        Note(JobFailure.Read, length);
        IsGetting = false;
        CloseFile(JobFailure.Read);
        return _isFailed ? TryFail(_failed) : Link.TrySend(JobKind.Done, 0);
    }

    /// <summary>Says that an order failed. False: the host has gone.</summary>
    internal static bool TryFail(JobFailed failed)
    {
        PayloadWriter to = Link.Writer();
        failed.Write(ref to);
        return Link.TrySend(JobKind.Failed, in to);
    }

    private static void CloseFile(JobFailure what)
    {
        if (_file >= 0)
        {
            Note(what, SystemCalls.Close(_file));
        }

        _file = -1;
    }

    /// <summary>Of several things that go wrong the first is told.</summary>
    private static void Note(JobFailure what, long result)
    {
        if (result < 0 && !_isFailed)
        {
            _isFailed = true;
            _failed = new JobFailed { What = what, Errno = (uint)-result };
        }
    }
}
