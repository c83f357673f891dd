using System;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Bench;

/// <summary>Measures deaths on one booted machine, one VM after the other.</summary>
internal sealed class BenchBoot(MonitorClient monitor, BenchPlan plan)
{
    // The guests' reports (docs/protocol.md).
    private const ulong DirtiedReport = 1;
    private const ulong FailedReport = 3;
    private const ulong HvcReport = 4;
    private const ulong FirstTouchReport = 5;

    /// <summary>What the filler leaves alone: its own code, stack and tables.</summary>
    private const long FillerReserve = 16 * ByteSize.Megabyte;

    private const long PrimitivesMemory = 64 * ByteSize.Megabyte;
    private const int MostConsole = 8 * 1024;
    private static readonly TimeSpan _answerLimit = TimeSpan.FromSeconds(30);

    private readonly StringBuilder _console = new();

    /// <summary>What a guest has said about itself, in instructions.</summary>
    private sealed class Reports
    {
        public double? Hvc { get; set; }

        public double? FirstTouch { get; set; }
    }

    /// <summary>How much of its memory a filler VM makes dirty.</summary>
    public static long FillBytes(long memoryBytes) => Math.Max(memoryBytes - FillerReserve, memoryBytes / 2);

    /// <summary>
    /// Creates the VM, lets it dirty its memory, ends it as the case says, and returns what that cost.
    /// </summary>
    public async Task<BenchRow> MeasureAsync(BenchCase what, CancellationToken cancellation)
    {
        string append = what.Guest.Name == GuestPayload.Filler
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"fill={FillBytes(what.MemoryBytes)}")
            : "console=ttyAMA0 quiet nokaslr init_on_alloc=0 quietus.fill=90% quietus.then=idle";
        var order = new GuestOrder(
            what.Guest.Name, what.MemoryBytes, plan.Cpus, what.Pages, what.Policy, append)
        {
            IsRepeatable = true,
        };
        try
        {
            (long vm, _) = await StartDirtyAsync(order, cancellation).ConfigureAwait(false);
            LifeFigures life = await LifeAsync(vm, cancellation).ConfigureAwait(false);
            long begun = Stopwatch.GetTimestamp();
            string arguments = what.Way == DeathWay.Kill ? string.Empty : " fate=" + plan.Fate.Name();
            MonitorReply reply = await OrderAsync(what.Way.Name(), vm, plan.Limit, cancellation, arguments)
                .ConfigureAwait(false);
            long wall = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds;
            if (what.Way != DeathWay.Kill)
            {
                await OrderAsync(DeathWay.Kill.Name(), vm, plan.Limit, cancellation).ConfigureAwait(false);
            }

            DeathFigures death = DeathFigures.Read(reply.Final);
            if (death.LeakedFrames != 0)
            {
                throw new CliException(
                    ExitCode.Failed,
                    Counted.Of(death.LeakedFrames, "frame") + " did not come back",
                    "please report it: the hypervisor loses memory");
            }

            return new BenchRow
            {
                Case = what,
                Death = death,
                Life = life,
                WallNanoseconds = wall,
            };
        }
        catch (MonitorException error)
        {
            throw new CliException(
                ExitCode.Failed,
                $"{what}: the hypervisor refused: {Printable.Line(error.Message)}");
        }
        catch (CliException error)
        {
            throw new CliException(error.ExitCode, $"{what}: {error.Message}", error.NextStep, error.Details);
        }
    }

    /// <summary>Measures the primitives with a small filler VM.</summary>
    public async Task<Primitives> MeasurePrimitivesAsync(CancellationToken cancellation)
    {
        var order = new GuestOrder(
            GuestPayload.Filler,
            PrimitivesMemory,
            Cpus: 1,
            Pages: "4k",
            MaintenancePolicy.Of(Memory.MaintenancePolicy.Series),
            string.Create(CultureInfo.InvariantCulture, $"measure=all fill={PrimitivesMemory / 2}"))
        {
            IsRepeatable = true,
        };
        try
        {
            (long vm, Reports reports) = await StartDirtyAsync(order, cancellation).ConfigureAwait(false);
            LifeFigures life = await LifeAsync(vm, cancellation).ConfigureAwait(false);
            await OrderAsync(DeathWay.Kill.Name(), vm, plan.Limit, cancellation).ConfigureAwait(false);
            return new Primitives
            {
                HvcRoundTrip = reports.Hvc,
                DemandFault = reports.FirstTouch,
                MapPage = life.MapCalls is null or 0 ? null : (double?)life.MapInstructions / life.MapCalls,
            };
        }
        catch (MonitorException error)
        {
            throw new CliException(
                ExitCode.Failed,
                "measuring the primitives: the hypervisor refused: " + Printable.Line(error.Message));
        }
        catch (CliException error)
        {
            throw new CliException(
                error.ExitCode, "measuring the primitives: " + error.Message, error.NextStep, error.Details);
        }
    }

    private async Task<(long Vm, Reports Reports)> StartDirtyAsync(
        GuestOrder order, CancellationToken cancellation)
    {
        // What the last VM still said is dropped: it came before the answer to its death.
        while (monitor.Messages.TryRead(out _))
        {
        }

        _console.Clear();

        // Every VM begins with clean memory, and no core scrubs beside what is measured.
        await monitor.RequestAsync("scrub when=asked", _answerLimit, cancellation).ConfigureAwait(false);
        await monitor.RequestAsync("scrub", plan.Limit, cancellation).ConfigureAwait(false);
        MonitorReply created = await monitor.RequestAsync(order.Command, _answerLimit, cancellation)
            .ConfigureAwait(false);
        long vm = created.Final.Number("vm");
        int slot = (int)created.Final.Number("slot");
        await OrderAsync("start", vm, _answerLimit, cancellation).ConfigureAwait(false);
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(plan.Limit);
        try
        {
            return (vm, await WaitDirtyAsync(vm, slot, timer.Token).ConfigureAwait(false));
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new CliException(
                ExitCode.TimeLimit,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"time limit: the guest has not dirtied its memory within {plan.Limit.TotalSeconds:0.#} s"),
                "a slow or busy host may need more: --timeout SECONDS",
                _console.ToString());
        }
    }

    /// <summary>
    /// Waits until the guest has said that its memory is dirty; returns what an HVC costs, if it said.
    /// </summary>
    private async Task<Reports> WaitDirtyAsync(long vm, int slot, CancellationToken cancellation)
    {
        var reports = new Reports();
        await foreach (MachineMessage message in monitor.Messages.ReadAllAsync(cancellation).ConfigureAwait(false))
        {
            switch (message)
            {
                case ConsoleOutput output when output.Slot == slot:
                    if (HearsDirtied(output.Bytes))
                    {
                        return reports;
                    }

                    break;
                case MachineEvent { Name: "report" } report when report.Line.TryNumber("vm") == vm:
                    ulong value = report.Line.GuestNumber("value");
                    switch (report.Line.GuestNumber("kind"))
                    {
                        case DirtiedReport:
                            return reports;
                        case HvcReport:
                            reports.Hvc = value / 1000.0;
                            break;
                        case FirstTouchReport:
                            reports.FirstTouch = value / 1000.0;
                            break;
                        case FailedReport:
                            throw new CliException(
                                ExitCode.Failed, "the guest reports a failure", details: _console.ToString());
                        default:
                            break;
                    }

                    break;
                case MachineEvent { Name: "state" } state
                    when state.Line.TryNumber("vm") == vm && state.Line.Value("state") == "stopped":
                    throw new CliException(
                        ExitCode.Failed,
                        "the VM stopped by itself: "
                            + Printable.Line(state.Line.Value("reason") ?? "no reason given"),
                        "./quietus run with the same guest and memory shows its console",
                        _console.ToString());
                default:
                    break;
            }
        }

        throw new CliException(ExitCode.Failed, "the machine has ended");
    }

    /// <summary>The Linux guest's line is looked for in what has come so far: it may come in pieces.</summary>
    private bool HearsDirtied(byte[] bytes)
    {
        _console.Append(Encoding.Latin1.GetString(bytes));
        if (_console.Length > 2 * MostConsole)
        {
            _console.Remove(0, _console.Length - MostConsole);
        }

        string text = _console.ToString();
        int at = text.LastIndexOf("quietus-guest: dirtied ", StringComparison.Ordinal);
        return at >= 0 && text.AsSpan(at).Contains('\n');
    }

    private async Task<LifeFigures> LifeAsync(long vm, CancellationToken cancellation)
    {
        MonitorReply reply = await OrderAsync("measure", vm, _answerLimit, cancellation).ConfigureAwait(false);
        return LifeFigures.Read(reply.Final);
    }

    private Task<MonitorReply> OrderAsync(
        string verb, long vm, TimeSpan limit, CancellationToken cancellation, string arguments = "") =>
        monitor.RequestAsync(
            string.Create(CultureInfo.InvariantCulture, $"{verb} vm={vm}{arguments}"), limit, cancellation);
}
