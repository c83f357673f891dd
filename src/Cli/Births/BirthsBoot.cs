using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Births;

/// <summary>One booted machine: orders to its monitor, and waiting for what its VMs say.</summary>
internal sealed class BirthsBoot(MonitorClient monitor, TimeSpan limit, CancellationToken cancellation)
{
    private const ulong FailedReport = 3;
    private readonly Dictionary<int, StringBuilder> _consoles = [];
    private readonly List<MachineEvent> _events = [];

    public async Task<KeyValueLine> AskAsync(string command) =>
        (await monitor.RequestAsync(command, limit, cancellation).ConfigureAwait(false)).Final;

    public Task<KeyValueLine> OrderAsync(string verb, long vm) =>
        AskAsync(string.Create(CultureInfo.InvariantCulture, $"{verb} vm={vm}"));

    /// <summary>Creates a VM and starts it; what others have reported until then is forgotten.</summary>
    public Task<(long Vm, int Slot)> StartAsync(string create)
    {
        Sort();
        _events.Clear();
        return StartBesideAsync(create);
    }

    /// <summary>Creates a VM and starts it beside others, whose reports are kept.</summary>
    public async Task<(long Vm, int Slot)> StartBesideAsync(string create)
    {
        KeyValueLine made = await AskAsync(create).ConfigureAwait(false);
        long vm = made.Number("vm");
        int slot = (int)made.Number("slot");
        Sort();
        _consoles.Remove(slot);
        await OrderAsync("start", vm).ConfigureAwait(false);
        return (vm, slot);
    }

    /// <summary>Makes one child; a command waits in its UART when one is given.</summary>
    public async Task<(long Vm, int Slot)> ForkAsync(long template, string command = "")
    {
        // What the slot's last VM has printed has come; what the child says comes with the answer, or before it.
        Sort();
        foreach (StringBuilder console in _consoles.Values)
        {
            console.Clear();
        }

        string text = command.Length == 0 ? command : $" text=\"{command}\"";
        MonitorReply reply = await monitor.RequestAsync(
            string.Create(CultureInfo.InvariantCulture, $"fork vm={template}{text}"), limit, cancellation)
            .ConfigureAwait(false);
        return (reply.Items[0].Number("vm"), (int)reply.Items[0].Number("slot"));
    }

    /// <summary>Makes so many children by one order; what each one's slot has printed before is forgotten.</summary>
    public async Task<IReadOnlyList<(long Vm, int Slot)>> ForkAsync(long template, int count)
    {
        MonitorReply reply = await monitor.RequestAsync(
            string.Create(CultureInfo.InvariantCulture, $"fork vm={template} count={count}"), limit, cancellation)
            .ConfigureAwait(false);
        return [.. reply.Items.Select(item => (item.Number("vm"), (int)item.Number("slot")))];
    }

    /// <summary>Types something into a VM.</summary>
    public Task TypeAsync(int slot, string text) =>
        monitor.SendConsoleAsync(slot, Encoding.UTF8.GetBytes(text), cancellation);

    /// <summary>Kills a VM, and forgets what it has printed and reported.</summary>
    public async Task<DeathFigures> KillAsync(long vm, int slot)
    {
        KeyValueLine death = await OrderAsync(DeathWay.Kill.Name(), vm).ConfigureAwait(false);
        Sort();
        _consoles.Remove(slot);
        _events.RemoveAll(happened => happened.Line.TryNumber("vm") == vm);
        return DeathFigures.Read(death);
    }

    /// <summary>Waits for a filler's report, takes it, and returns its value.</summary>
    public async Task<ulong> ReportAsync(long vm, ulong kind) =>
        (await EventAsync(vm, line => line.Value("kind") is not null && line.GuestNumber("kind") == kind,
            string.Create(CultureInfo.InvariantCulture, $"report {kind}")).ConfigureAwait(false)).GuestNumber("value");

    /// <summary>The values of a kind that a filler has reported since it was started, when there are so many.</summary>
    public async Task<IReadOnlyList<ulong>> ReportsAsync(long vm, ulong kind, int count)
    {
        IReadOnlyList<ulong> Reported() =>
        [
            .. _events.Where(happened => happened.Line.TryNumber("vm") == vm
                && happened.Line.Value("kind") is not null && happened.Line.GuestNumber("kind") == kind)
                .Select(happened => happened.Line.GuestNumber("value")),
        ];

        await UntilAsync(() => Reported().Count >= count, vm, string.Create(
            CultureInfo.InvariantCulture, $"its report {kind} for the {count}th time")).ConfigureAwait(false);
        return Reported();
    }

    /// <summary>Waits until a guest has made a template of itself; returns what that took.</summary>
    public Task<KeyValueLine> FrozenAsync(long vm) => EventAsync(vm, line => line.Value("state") == "frozen", "freeze");

    /// <summary>Waits until a VM has printed one text, and another after it.</summary>
    public Task PrintedAsync(long vm, int slot, string text, string then) => UntilAsync(
        () =>
        {
            string console = _consoles.TryGetValue(slot, out StringBuilder? all) ? all.ToString() : string.Empty;
            int at = console.LastIndexOf(text, StringComparison.Ordinal);
            return at >= 0 && console.IndexOf(then, at + text.Length, StringComparison.Ordinal) >= 0;
        },
        vm, $"'{text}'");

    /// <summary>Waits until a VM has printed its last word and that line's end; forgets what it printed.</summary>
    public async Task SilentAsync(long vm, int slot, string lastWord)
    {
        await PrintedAsync(vm, slot, lastWord, "\n").ConfigureAwait(false);
        _consoles.Remove(slot);
    }

    /// <summary>What the VM in a slot has printed and was not forgotten.</summary>
    public string Console(int slot) =>
        _consoles.TryGetValue(slot, out StringBuilder? console) ? console.ToString() : string.Empty;

    private async Task<KeyValueLine> EventAsync(long vm, Predicate<KeyValueLine> isIt, string what)
    {
        bool Is(MachineEvent happened) => happened.Line.TryNumber("vm") == vm && isIt(happened.Line);

        await UntilAsync(() => _events.Exists(Is), vm, "its " + what).ConfigureAwait(false);
        MachineEvent found = _events.Find(Is)!;
        _events.Remove(found);
        return found.Line;
    }

    private async Task UntilAsync(Func<bool> isSo, long vm, string what)
    {
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(limit);
        try
        {
            Sort();
            while (!isSo())
            {
                FailIfOver(vm);
                if (!await monitor.Messages.WaitToReadAsync(timer.Token).ConfigureAwait(false))
                {
                    throw new CliException(ExitCode.Failed, "the machine has ended");
                }

                Sort();
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new CliException(
                ExitCode.TimeLimit,
                string.Create(
                    CultureInfo.InvariantCulture, $"time limit: VM {vm}: no {what} within {limit.TotalSeconds:0.#} s"),
                "a slow or busy host may need more: --timeout SECONDS");
        }
    }

    private void FailIfOver(long vm)
    {
        foreach (MachineEvent happened in _events)
        {
            if (happened.Line.TryNumber("vm") == vm
                && (happened.Line.Value("state") == "stopped"
                    || (happened.Line.Value("kind") is not null && happened.Line.GuestNumber("kind") == FailedReport)))
            {
                throw new CliException(
                    ExitCode.Failed, "the guest failed or stopped: " + Printable.Line(happened.Line.Text));
            }
        }
    }

    private void Sort()
    {
        while (monitor.Messages.TryRead(out MachineMessage? message))
        {
            if (message is MachineEvent happened)
            {
                _events.Add(happened);
            }
            else if (message is ConsoleOutput output)
            {
                if (!_consoles.TryGetValue(output.Slot, out StringBuilder? console))
                {
                    _consoles.Add(output.Slot, console = new StringBuilder());
                }

                console.Append(Encoding.Latin1.GetString(output.Bytes));
            }
        }
    }
}
