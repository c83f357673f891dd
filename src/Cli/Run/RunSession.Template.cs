using System;
using System.Diagnostics;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Run;

/// <summary>
/// <c>run --from-template</c>: the guest boots once and is frozen at its shell; on a terminal each Enter gives a fresh
/// child there, in a script each line of the input is all that a fresh child gets.
/// </summary>
internal sealed partial class RunSession
{
    private InputLines _lines = null!;
    private ShellWatch? _shell;
    private bool _frozenByAgent;
    private volatile CancellationTokenSource? _child;

    /// <summary>Makes the template, and children until the input ends. A script ends with the first bad end.</summary>
    private async Task<int> ServeAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        long begun = Stopwatch.GetTimestamp();
        _shell = new ShellWatch();
        int? ended = await FollowAsync(monitor, cancellation).ConfigureAwait(false);
        if (_isAlive && plan.Guest.IsBundled && _shell.OwnFreeze is null)
        {
            // Frozen by its agent, each child draws random numbers of its own before any of its programs runs.
            _shell.ExpectPrompt();
            await monitor.SendConsoleAsync(_slot, "agent freeze\n"u8.ToArray(), cancellation).ConfigureAwait(false);
            ended = await FollowAsync(monitor, cancellation).ConfigureAwait(false);
            if (_isAlive && _shell.OwnFreeze is null)
            {
                Say("the guest's agent could not freeze it: its children share their first random numbers", true);
            }
        }

        if (!_isAlive)
        {
            throw new CliException(
                ended is null or ExitCode.Ok ? ExitCode.Failed : ended.Value,
                "the VM has ended before its shell was ready: there is no template",
                "what --append says must not end it");
        }

        KeyValueLine frozen = _shell.OwnFreeze ?? (await monitor.RequestAsync(
            Order("freeze", _vm), _answerLimit, cancellation).ConfigureAwait(false)).Final;
        _frozenByAgent = plan.Guest.IsBundled && _shell.OwnFreeze is not null;
        _shell = null;
        _isAlive = false;
        long template = _vm;
        long pages = frozen.Number(DeathFields.MappedPages4K);
        long blocks = frozen.Number(DeathFields.MappedBlocks2M);
        Say(string.Create(
            CultureInfo.InvariantCulture,
            $"frozen {Since(begun)} after its start, with {Counted.Of(pages, "page")} and "
                + $"{Counted.Of(blocks, "block")}; {AskForMore}"), freshLine: true);

        for (int number = 1; await LineAsync(monitor, cancellation).ConfigureAwait(false) is { } line; number++)
        {
            int code = await LiveAsync(monitor, template, number, line, cancellation).ConfigureAwait(false);
            if (!_raw && code != ExitCode.Ok)
            {
                return code;
            }

            if (_raw)
            {
                Say(AskForMore);
            }
        }

        return ExitCode.Ok;
    }

    private string AskForMore => _raw ? "Enter gives a child, Ctrl-A x ends" : "each line of the input is a child's";

    /// <summary>Waits for the line that asks for a child; the machine may end meanwhile.</summary>
    private async Task<byte[]?> LineAsync(MonitorClient monitor, CancellationToken cancellation)
    {
        Task<byte[]?> line = _lines.NextAsync(cancellation);
        while (!line.IsCompleted)
        {
            Task<bool> message = monitor.Messages.WaitToReadAsync(cancellation).AsTask();
            if (await Task.WhenAny(line, message).ConfigureAwait(false) == message)
            {
                if (!await message.ConfigureAwait(false))
                {
                    throw new CliException(ExitCode.Failed, "the machine has ended");
                }

                Drain(monitor);
            }
        }

        Drain(monitor);
        return await line.ConfigureAwait(false);
    }

    /// <summary>Forgets what a VM that is gone has still printed.</summary>
    private void Drain(MonitorClient monitor)
    {
        while (monitor.Messages.TryRead(out MachineMessage? message))
        {
            if (message is LogLine log)
            {
                Say("hypervisor: " + Printable.Line(log.Text));
            }
        }
    }

    /// <summary>One child, from its birth to its end; the exit code that this deserves.</summary>
    private async Task<int> LiveAsync(
        MonitorClient monitor, long template, int number, byte[] line, CancellationToken cancellation)
    {
        long begun = Stopwatch.GetTimestamp();
        MonitorReply born = await monitor.RequestAsync(Order("fork", template), _answerLimit, cancellation)
            .ConfigureAwait(false);
        string name = string.Create(CultureInfo.InvariantCulture, $"child {number}");
        Say($"{name}: born after {Since(begun)}");
        Watch(born.Items[0]);
        using var child = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        _child = child;
        Task feeding = FeedAsync(monitor, line, child.Token);
        try
        {
            if (await FollowAsync(monitor, child.Token).ConfigureAwait(false) is { } code)
            {
                return code;
            }

            Say($"{name}: it asked for a reboot, and has ended; the next one is fresh");
            return ExitCode.Ok;
        }
        catch (OperationCanceledException) when (child.IsCancellationRequested && !cancellation.IsCancellationRequested)
        {
            await KillAsync(monitor, cancellation).ConfigureAwait(false);
            return ExitCode.Ok;
        }
        catch (CliException error) when (_raw && !_isAlive)
        {
            Say($"{name}: {Printable.Line(error.Message)}");
            return error.ExitCode;
        }
        finally
        {
            _child = null;
            await child.CancelAsync().ConfigureAwait(false);
            await feeding.ConfigureAwait(false);
        }
    }

    /// <summary>Types the line into the child, and then what a person types, or the end of a script's input.</summary>
    private async Task FeedAsync(MonitorClient monitor, byte[] line, CancellationToken cancellation)
    {
        try
        {
            if (!_raw)
            {
                await TypeEndAsync(monitor, line, cancellation).ConfigureAwait(false);
            }

            // A child that comes back from the agent's call shows a prompt by itself.
            for (byte[]? typed = _frozenByAgent ? [] : line; typed is not null;
                typed = await _lines.PieceAsync(cancellation).ConfigureAwait(false))
            {
                await monitor.SendConsoleAsync(_slot, typed, cancellation).ConfigureAwait(false);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException or CliException)
        {
            // The child has ended.
        }
    }

    private static string Order(string verb, long vm) =>
        string.Create(CultureInfo.InvariantCulture, $"{verb} vm={vm}");

    private static string Since(long begun) => Duration.Format(Stopwatch.GetElapsedTime(begun).TotalNanoseconds);
}
