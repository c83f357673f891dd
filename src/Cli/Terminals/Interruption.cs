using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Terminals;

/// <summary>
/// Ctrl-C, SIGTERM, SIGHUP and SIGQUIT, as a cancellation: the work unwinds in order, its children are ended, the
/// terminal is restored. The second signal does not wait for that; then the kernel ends the children.
/// </summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _count;
    private int _code = ExitCode.Interrupted;

    public Interruption()
    {
        foreach (PosixSignal signal in (PosixSignal[])
            [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT])
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, Handle));
        }
    }

    /// <summary>
    /// Is asked at each signal, on a thread of the runtime's: true where the signal is for a program that runs here,
    /// and interrupts nothing. Null: every signal interrupts.
    /// </summary>
    public static Func<PosixSignal, bool>? Divert { get; set; }

    /// <summary>Cancelled at the first signal.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>True when a signal has come.</summary>
    public bool Happened => Volatile.Read(ref _count) > 0;

    /// <summary>128 and the number of the first signal, as shells have it.</summary>
    public int Code => Volatile.Read(ref _code);

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations)
        {
            registration.Dispose();
        }

        _source.Dispose();
    }

    private void Handle(PosixSignalContext context)
    {
        if (Divert?.Invoke(context.Signal) == true)
        {
            context.Cancel = true;
            return;
        }

        if (Interlocked.Increment(ref _count) == 1)
        {
            context.Cancel = true;
            Volatile.Write(ref _code, context.Signal switch
            {
                PosixSignal.SIGHUP => 129,
                PosixSignal.SIGQUIT => 131,
                PosixSignal.SIGTERM => 143,
                _ => ExitCode.Interrupted,
            });
            _source.Cancel();
        }
        else
        {
            RawTerminal.RestoreNow();
            Environment.Exit(Code);
        }
    }
}
