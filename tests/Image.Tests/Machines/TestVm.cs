using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Wire;
using Shouldly;

namespace Quietus.Image.Tests.Machines;

/// <summary>A VM of a <see cref="TestMachine"/>, and what is known of it.</summary>
internal sealed class TestVm(TestMachine machine, long number, int slot)
{
    // Kinds of a guest's reports (docs/filler.md).
    private const long Dirtied = 1;
    private const long Passed = 2;
    private const long Failed = 3;
    private const long Witnessed = 6;
    private const long Worked = 15;

    private readonly StringBuilder _console = new();
    private readonly List<(long Kind, long Value)> _reports = [];
    private readonly List<long> _worked = [];
    private readonly Dictionary<string, string> _broken = [];
    private KeyValueLine? _stopped;
    private KeyValueLine? _frozen;
    private long _witnessed;

    internal long Number => number;

    internal int Slot => slot;

    /// <summary>Slots that the image has before it needs more.</summary>
    private const int FirstSlots = 16;

    /// <summary>Slots go round, one further with each VM, so that a VM alone finds its own free.</summary>
    internal int SlotInTurn => (int)((number - 1) % FirstSlots);

    /// <summary>Bytes that it has printed so far.</summary>
    internal long ConsoleBytes { get; private set; }

    /// <summary>What it has printed so far, up to a limit.</summary>
    internal string Console => _console.ToString();

    /// <summary>Devices that it broke, with the reason that the hypervisor gave for each; once for each.</summary>
    internal IReadOnlyDictionary<string, string> Broken => _broken;

    internal Task StartAsync() => OrderAsync("start");

    /// <summary>
    /// Starts it, to be killed so many virtual nanoseconds later; null when its own end came first. Under icount that
    /// is so many instructions of the machine, and the same moment every time.
    /// </summary>
    internal async Task<DeathFigures?> LiveForAsync(long nanoseconds)
    {
        try
        {
            return await TakeMemoryAsync(
                "start", string.Create(CultureInfo.InvariantCulture, $" for={nanoseconds}")).ConfigureAwait(false);
        }
        catch (MonitorException gone) when (gone.Code == "ended")
        {
            await StoppedAsync().ConfigureAwait(false);
            return null;
        }
    }

    internal Task<KeyValueLine> MeasureAsync() => OrderAsync("measure");

    /// <summary>Kills it. It must have been alive, and all of its frames must come back.</summary>
    internal Task<DeathFigures> KillAsync() => TakeMemoryAsync("kill");

    /// <summary>Takes its memory while it lives.</summary>
    /// <param name="fate">What is said of the pages (docs/protocol.md).</param>
    internal Task<DeathFigures> UnmapAsync(string fate = "freed") => TakeMemoryAsync("unmap", " fate=" + fate);

    /// <summary>Kills it, or finds that it has just ended by itself.</summary>
    internal Task KillIfAliveAsync() => IfAliveAsync(KillAsync);

    /// <summary>Takes its memory, or finds that it has just ended by itself.</summary>
    internal Task UnmapIfAliveAsync() => IfAliveAsync(() => UnmapAsync());

    internal Task TypeAsync(string text) =>
        machine.Monitor.SendConsoleAsync(slot, Encoding.UTF8.GetBytes(text), TestMachine.Cancellation);

    /// <summary>Waits until the guest has said how many bytes it has dirtied; returns them.</summary>
    internal Task<long> DirtiedAsync() => ReportedAsync(Dirtied);

    /// <summary>Waits until the guest's test has passed; returns how many things it has tried.</summary>
    internal Task<long> PassedAsync() => ReportedAsync(Passed);

    /// <summary>Waits for a report; fails when the guest reports a failure or ends first.</summary>
    internal async Task<long> ReportedAsync(long kind)
    {
        await UntilAsync(
            () => _reports.Exists(report => report.Kind == kind || report.Kind == Failed) || _stopped is not null,
            string.Create(CultureInfo.InvariantCulture, $"report {kind}")).ConfigureAwait(false);
        _reports.ShouldNotContain(report => report.Kind == Failed, Known());
        _reports.ShouldContain(report => report.Kind == kind, Known());
        return _reports.Find(report => report.Kind == kind).Value;
    }

    /// <summary>Waits until it has reported a failure; returns which.</summary>
    internal async Task<long> FailedAsync()
    {
        await UntilAsync(() => _reports.Exists(report => report.Kind == Failed) || _stopped is not null, "a failure")
            .ConfigureAwait(false);
        return _reports.Find(report => report.Kind == Failed).Value;
    }

    /// <summary>
    /// Waits until a witness has read all of its memory once more, from a moment after this call, and found it as it
    /// was.
    /// </summary>
    internal async Task WitnessedAsync()
    {
        machine.Sort();
        long now = _witnessed;

        // The round that is under way has begun before.
        await UntilAsync(
            () => _witnessed >= now + 2 || _stopped is not null || _reports.Exists(report => report.Kind == Failed),
            "a witness").ConfigureAwait(false);
        _reports.ShouldNotContain(report => report.Kind == Failed, Known());
        _stopped.ShouldBeNull(Known());
    }

    /// <summary>Waits for so many reports of a guest that works; returns the units done at each.</summary>
    internal async Task<IReadOnlyList<long>> WorkedAsync(int reports)
    {
        await UntilAsync(
            () => _worked.Count >= reports || _stopped is not null, "its work").ConfigureAwait(false);
        _stopped.ShouldBeNull(Known());
        return _worked;
    }

    /// <summary>Waits until it has ended by itself; checks that its memory is back, and returns the reason.</summary>
    internal async Task<string> StoppedAsync()
    {
        await UntilAsync(() => _stopped is not null, "its end").ConfigureAwait(false);
        DeathFigures figures = DeathFigures.Read(_stopped!);
        _stopped!.Value("way").ShouldBe("self");
        figures.LeakedFrames.ShouldBe(0);
        figures.FreedBytes.ShouldBeGreaterThan(0);
        return _stopped!.Value("reason").ShouldNotBeNull();
    }

    /// <summary>Waits until it has ended by itself, having failed at nothing; returns the reason.</summary>
    internal async Task<string> StoppedWellAsync()
    {
        string reason = await StoppedAsync().ConfigureAwait(false);
        _reports.ShouldNotContain(report => report.Kind == Failed, Known());
        return reason;
    }

    /// <summary>Makes a template of it, wherever it is.</summary>
    internal Task<KeyValueLine> FreezeAsync() => OrderAsync("freeze");

    /// <summary>Waits until it is a template because its guest has asked for it; returns what that took.</summary>
    internal async Task<KeyValueLine> FrozenAsync()
    {
        await UntilAsync(() => _frozen is not null || _stopped is not null, "its freeze").ConfigureAwait(false);
        return _frozen.ShouldNotBeNull(Known());
    }

    /// <summary>Puts a child back to its birth. What it has reported before is forgotten.</summary>
    internal async Task<KeyValueLine> ResetAsync()
    {
        machine.Sort();
        _reports.Clear();
        return await OrderAsync("reset").ConfigureAwait(false);
    }

    /// <summary>Waits until it has printed this.</summary>
    internal Task PrintedAsync(string text) => PrintedAsync(text, 1);

    /// <summary>Waits until it has printed this so often.</summary>
    internal Task PrintedAsync(string text, int times) => UntilAsync(
        () => _console.ToString().Split(text).Length > times, $"'{text}'");

    /// <summary>Waits until it has printed so many bytes.</summary>
    internal Task PrintedAsync(long bytes) => UntilAsync(() => ConsoleBytes >= bytes, "its output");

    internal void Hear(byte[] bytes)
    {
        const int Most = 256 * 1024;
        ConsoleBytes += bytes.Length;
        if (_console.Length < Most)
        {
            _console.Append(Encoding.Latin1.GetString(bytes));
        }
    }

    internal void Hear(MachineEvent happened)
    {
        if (happened.Name == "report")
        {
            long kind = happened.Line.Number("kind");
            if (kind == Worked)
            {
                _worked.Add(happened.Line.Number("value"));
                return;
            }

            if (kind == Witnessed)
            {
                _witnessed = happened.Line.Number("value");
                return;
            }

            _reports.Add((kind, happened.Line.Number("value")));
        }
        else if (happened.Name == "device")
        {
            _broken.Add(happened.Line.Value("device")!, happened.Line.Value("reason")!);
        }
        else if (happened.Line.Value("state") == "frozen")
        {
            _frozen = happened.Line;
        }
        else if (happened.Line.Value("state") == "stopped")
        {
            _stopped.ShouldBeNull("a VM ends once");
            _stopped = happened.Line;
        }
    }

    private async Task IfAliveAsync(Func<Task> order)
    {
        try
        {
            await order().ConfigureAwait(false);
        }
        catch (MonitorException gone) when (gone.Code == "no-such-vm")
        {
            await StoppedAsync().ConfigureAwait(false);
        }
    }

    private async Task<DeathFigures> TakeMemoryAsync(string order, string arguments = "")
    {
        KeyValueLine line = await OrderAsync(order, arguments).ConfigureAwait(false);
        line.Value("way").ShouldBe(order == "unmap" ? order : "kill");
        DeathFigures figures = DeathFigures.Read(line);
        figures.LeakedFrames.ShouldBe(0, line.Text);
        return figures;
    }

    private Task<KeyValueLine> OrderAsync(string verb, string arguments = "") =>
        machine.AskAsync(string.Create(CultureInfo.InvariantCulture, $"{verb} vm={number}{arguments}"));

    private async Task UntilAsync(Func<bool> isSo, string what)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestMachine.Cancellation);
        limit.CancelAfter(TestMachine.Patience);
        machine.Sort();
        while (!isSo())
        {
            try
            {
                await machine.ListenAsync(limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!TestMachine.Cancellation.IsCancellationRequested)
            {
                throw new TimeoutException($"waited in vain for {what}: {Known()}");
            }
        }
    }

    /// <summary>For the report of a failure.</summary>
    private string Known()
    {
        const int Tail = 2000;
        string console = _console.ToString();
        return string.Create(
            CultureInfo.InvariantCulture,
            $"vm {number}; {_stopped?.Text ?? "alive"}; console:\n{console[Math.Max(0, console.Length - Tail)..]}");
    }
}
