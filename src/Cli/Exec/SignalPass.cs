using System;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Jobs;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Exec;

/// <summary>
/// Hands Ctrl-C, Ctrl-\ and SIGTERM on to the program, and the terminal's new size. The same signal again within a
/// second is for us: a program that does not heed it is ended.
/// </summary>
internal sealed class SignalPass : IDisposable
{
    private static readonly TimeSpan _again = TimeSpan.FromSeconds(1);

    private readonly IRunningProgram _program;
    private readonly CancellationToken _over;
    private readonly PosixSignalRegistration? _resize;
    private PosixSignal _last;
    private long _lastCame;

    /// <param name="program">The program.</param>
    /// <param name="hasTerminal">Whether the program has a terminal, whose size is this one's.</param>
    /// <param name="over">Cancelled when the program has ended.</param>
    public SignalPass(IRunningProgram program, bool hasTerminal, CancellationToken over)
    {
        _program = program;
        _over = over;
        Interruption.Divert = Pass;
        if (hasTerminal)
        {
            _resize = PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Resize());
        }
    }

    public void Dispose()
    {
        Interruption.Divert = null;
        _resize?.Dispose();
    }

    private bool Pass(PosixSignal signal)
    {
        // By arm64 Linux's numbers.
        int number = signal switch
        {
            PosixSignal.SIGINT => 2,
            PosixSignal.SIGQUIT => 3,
            PosixSignal.SIGTERM => 15,
            _ => 0,
        };
        bool isAgain = signal == _last && _lastCame != 0 && Stopwatch.GetElapsedTime(_lastCame) < _again;
        _last = signal;
        _lastCame = Stopwatch.GetTimestamp();
        if (number == 0 || isAgain)
        {
            return false;
        }

        Send(_program.SignalAsync(number, _over));
        return true;
    }

    private void Resize()
    {
        if (TerminalSize.Window is (int rows, int columns))
        {
            Send(_program.ResizeAsync(rows, columns, _over));
        }
    }

    private static async void Send(Task order)
    {
        try
        {
            await order.ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or System.IO.IOException
            or ObjectDisposedException or CommandLine.CliException)
        {
            // The program has ended.
        }
    }
}
