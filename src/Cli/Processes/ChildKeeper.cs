using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace Quietus.Cli.Processes;

/// <summary>
/// Starts every child, so that none outlives this process however it ends. The kernel itself kills a child when the
/// thread that started it is gone (PR_SET_PDEATHSIG, prctl(2)), even after SIGKILL; that is why all children are
/// started from one thread that lives as long as the process does.
/// </summary>
internal static class ChildKeeper
{
    private static readonly BlockingCollection<Action> _requests = [];
    private static readonly Lazy<string?> _setpriv = new(() => Programs.Find("setpriv"));
    private static readonly Lazy<string?> _setsid = new(() => Programs.Find("setsid"));
    private static readonly Lazy<Thread> _thread = new(StartThread);

    /// <summary>
    /// How to start a child with all its streams connected to us, in a session of its own (setsid(1), of the same
    /// package as setpriv): Ctrl-C on the terminal is ours to act upon, and would end QEMU before we have asked it
    /// what was done.
    /// </summary>
    public static ProcessStartInfo Describe(string path, IReadOnlyList<string> arguments)
    {
        List<string> words = [path, .. arguments];
        if (_setpriv.Value is { } setpriv)
        {
            words.InsertRange(0, [setpriv, "--pdeathsig", "KILL", "--"]);
        }

        if (_setsid.Value is { } setsid)
        {
            words.Insert(0, setsid);
        }

        var start = new ProcessStartInfo
        {
            FileName = words[0],
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (string word in words[1..])
        {
            start.ArgumentList.Add(word);
        }

        return start;
    }

    /// <summary>Starts the child from the keeper's thread.</summary>
    public static Task<Process> StartAsync(ProcessStartInfo start)
    {
        _ = _thread.Value;
        var started = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        _requests.Add(() =>
        {
            try
            {
                started.SetResult(Process.Start(start) ?? throw new InvalidOperationException("no process"));
            }
            catch (Exception error) when (error is Win32Exception or InvalidOperationException)
            {
                started.SetException(error);
            }
        });
        return started.Task;
    }

    /// <summary>Ends a child at once, if it has not ended, and waits for it.</summary>
    public static void Kill(Process process)
    {
        try
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit(5000);
            }
        }
        catch (Exception gone) when (gone is InvalidOperationException or Win32Exception or AggregateException)
        {
            // It ended by itself in between, which is what was wanted.
        }
    }

    private static Thread StartThread()
    {
        var thread = new Thread(() =>
        {
            foreach (Action request in _requests.GetConsumingEnumerable())
            {
                request();
            }
        })
        {
            IsBackground = true,
            Name = "children",
        };
        thread.Start();
        return thread;
    }
}
