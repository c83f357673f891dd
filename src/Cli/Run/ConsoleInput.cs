using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using System.Threading.Channels;
using Microsoft.Win32.SafeHandles;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Run;

/// <summary>
/// The standard input, read by a thread of its own, because reading a terminal blocks. A guest that does not take its
/// input must not keep the keys that are for us from being read: between the two is a queue.
/// </summary>
/// <param name="isTerminal">The input is a terminal in raw mode, and some of its keys are for us.</param>
/// <param name="hasTemplate">The keys that mean something with a template only are taken, too.</param>
/// <param name="asked">Is told of such a key, on the thread.</param>
internal sealed class ConsoleInput(bool isTerminal, bool hasTemplate, Action<EscapeAction> asked)
{
    /// <summary>Pieces of up to 1 KB that are read ahead of the guest.</summary>
    private const int MostQueued = 64;

    // A person cannot type much; a pipe waits.
    private readonly Channel<byte[]> _queue = isTerminal
        ? Channel.CreateUnbounded<byte[]>()
        : Channel.CreateBounded<byte[]>(MostQueued);

    /// <summary>What is for the guest, in pieces that are not empty; complete when the input has ended.</summary>
    public ChannelReader<byte[]> Pieces => _queue.Reader;

    /// <summary>Begins to read. The thread ends with the process: a terminal's read cannot be called back.</summary>
    public void Start(CancellationToken cancellation)
    {
        var thread = new Thread(() => Read(cancellation))
        {
            IsBackground = true,
            Name = "input",
        };
        thread.Start();
    }

    private void Read(CancellationToken cancellation)
    {
        var keys = new EscapeKeys(hasTemplate);
        byte[] typed = new byte[1024];
        List<byte> forGuest = [];
        try
        {
            using var handle = new SafeFileHandle((IntPtr)0, ownsHandle: false);
            using var input = new FileStream(handle, FileAccess.Read, bufferSize: 0);
            int count;
            while ((count = input.Read(typed)) > 0 && !cancellation.IsCancellationRequested)
            {
                forGuest.Clear();
                EscapeAction action = EscapeAction.None;
                if (isTerminal)
                {
                    action = keys.Take(typed.AsSpan(0, count), forGuest);
                }
                else
                {
                    forGuest.AddRange(typed.AsSpan(0, count));
                }

                if (forGuest.Count > 0)
                {
                    _queue.Writer.WriteAsync(forGuest.ToArray(), cancellation).AsTask().GetAwaiter().GetResult();
                }

                if (action != EscapeAction.None)
                {
                    asked(action);
                }

                if (action == EscapeAction.End)
                {
                    return;
                }
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException
            or ObjectDisposedException or UnauthorizedAccessException or ArgumentException or CliException)
        {
            // No more input, or no guest to take it.
        }
        finally
        {
            _queue.Writer.TryComplete();
        }
    }
}
