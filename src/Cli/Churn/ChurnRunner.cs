using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Wire;

namespace Quietus.Cli.Churn;

/// <summary>Carries out a churn on one machine. Ctrl-C ends it with what was done so far.</summary>
internal sealed class ChurnRunner(ChurnPlan plan, QemuBinary qemu, string image, Action<int> progress)
{
    private const ulong DirtiedReport = 1;
    private const ulong FailedReport = 3;
    private const long MachineMemory = 320 * ByteSize.Megabyte;
    private static readonly TimeSpan _bootLimit = TimeSpan.FromSeconds(30);

    private readonly List<ChurnLife> _lives = [];
    private long _leaked;

    public async Task<ChurnResult> RunAsync(CancellationToken cancellation)
    {
        long begun = Stopwatch.GetTimestamp();
        string sha256 = FileHash.Sha256(image);
        using var folder = new RunFolder();
        var machine = new QemuMachine
        {
            Cpu = plan.Cpu.QemuName,
            Processors = 2,
            MemoryBytes = plan.Template is { } template
                ? TemplateChurn.MachineMemory(template, plan.Pages.Count)
                : MachineMemory,
            Image = image,
            Bundle = plan.Template?.Pack(folder.Path),
            HasSeed = plan.Template?.Kernel is not null,
            CountsInstructions = true,
        };
        QemuSession session = await QemuSession.StartAsync(qemu, machine, folder, _bootLimit, cancellation)
            .ConfigureAwait(false);
        await using (session.ConfigureAwait(false))
        {
            MonitorClient monitor = session.Monitor;
            try
            {
                return await ChurnAsync(monitor, sha256, begun, cancellation).ConfigureAwait(false);
            }
            catch (MonitorException error)
            {
                throw new CliException(
                    ExitCode.Failed,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"VM {_lives.Count + 1}: the hypervisor refused: {Terminals.Printable.Line(error.Message)}"));
            }
        }
    }

    private async Task<ChurnResult> ChurnAsync(
        MonitorClient monitor, string sha256, long begun, CancellationToken cancellation)
    {
        await AskAsync(monitor, "scrub when=asked").ConfigureAwait(false);
        await AskAsync(monitor, "scrub").ConfigureAwait(false);
        long free = (await AskAsync(monitor, "memory").ConfigureAwait(false)).Number("free_bytes");
        TemplateChurn? children = plan.Template is { } template
            ? await TemplateChurn.BeginAsync(plan, template, monitor).ConfigureAwait(false)
            : null;
        while (_lives.Count < plan.Part.Length && !cancellation.IsCancellationRequested)
        {
            int number = (int)plan.Part.First + _lives.Count;
            ChurnLife? life = children is null
                ? await LiveAsync(monitor, number, cancellation).ConfigureAwait(false)
                : await children.LiveAsync(number).ConfigureAwait(false);
            if (life is not null)
            {
                _lives.Add(life);
                progress(_lives.Count);
            }
        }

        if (children is not null)
        {
            await children.EndAsync().ConfigureAwait(false);
            _leaked += children.LeakedFrames;
        }

        KeyValueLine memory = await AskAsync(monitor, "memory").ConfigureAwait(false);
        return new ChurnResult
        {
            Plan = plan,
            Lives = _lives,
            IsInterrupted = _lives.Count < plan.Part.Length,
            Totals = new ChurnTotals(
                _lives.Count, free - memory.Number("free_bytes"), memory.Number("refused_frees"), _leaked,
                children?.RepeatedRandom),
            QemuVersion = qemu.Version,
            ImageSha256 = sha256,
            WallNanoseconds = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds,
        };
    }

    /// <summary>One life; null when an interruption ended it before its time.</summary>
    private async Task<ChurnLife?> LiveAsync(MonitorClient monitor, int number, CancellationToken cancellation)
    {
        long memory = ChurnPlan.Sizes[number % ChurnPlan.Sizes.Count];
        string pages = plan.Pages[number / ChurnPlan.Sizes.Count % plan.Pages.Count];
        string lifetime = Lifetime.Of(plan.Lifetime, number);
        var order = new GuestOrder(
            GuestPayload.Filler, memory, Cpus: 1, pages, MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate),
            string.Create(CultureInfo.InvariantCulture, $"fill={memory / 2} touch=page check=zero"))
        {
            IsRepeatable = true,
        };
        while (monitor.Messages.TryRead(out _))
        {
        }

        KeyValueLine created = await AskAsync(monitor, order.Command).ConfigureAwait(false);
        long vm = created.Number("vm");
        if (lifetime != Lifetime.Created)
        {
            await AskAsync(monitor, Order("start", vm)).ConfigureAwait(false);
        }

        bool isWhole = lifetime != Lifetime.Filled
            || await IsFilledAsync(monitor, vm, cancellation).ConfigureAwait(false);

        KeyValueLine killed = await AskAsync(monitor, Order(DeathWay.Kill.Name(), vm)).ConfigureAwait(false);
        KeyValueLine scrubbed = await AskAsync(monitor, "scrub").ConfigureAwait(false);
        _leaked += killed.Number(DeathFields.LeakedFrames);
        return !isWhole ? null : new ChurnLife
        {
            MemoryBytes = memory,
            Pages = pages,
            Create = created.Number(DeathFields.Instructions),
            FirstInstruction = Positive(killed, DeathFields.FirstEntryNanoseconds),
            Fill = Positive(killed, DeathFields.FillNanoseconds),
            Kill = killed.Number(DeathFields.Instructions),
            MemoryBack = killed.Number(DeathFields.Instructions) - killed.Number(DeathFields.StopInstructions),
            ScrubZero = scrubbed.Number(MeasureFields.ScrubZeroInstructions),
            ScrubClean = scrubbed.Number(MeasureFields.ScrubCleanInstructions),
            ScrubbedChunks = scrubbed.Number(MeasureFields.ScrubbedChunks),
        };
    }

    /// <summary>Waits until the guest has dirtied its memory; false when it is interrupted.</summary>
    private async Task<bool> IsFilledAsync(MonitorClient monitor, long vm, CancellationToken cancellation)
    {
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        timer.CancelAfter(plan.Limit);
        try
        {
            await foreach (MachineMessage message in monitor.Messages.ReadAllAsync(timer.Token).ConfigureAwait(false))
            {
                if (message is not MachineEvent happened || happened.Line.TryNumber("vm") != vm)
                {
                    continue;
                }

                ulong kind = happened.Line.GuestNumber("kind");
                if (kind == DirtiedReport)
                {
                    return true;
                }

                if (kind == FailedReport || happened.Line.Value("state") == "stopped")
                {
                    throw new CliException(
                        ExitCode.Failed,
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"VM {_lives.Count + 1} found memory that was not zero, or stopped by itself"),
                        "please report it: one VM has seen another's bytes");
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return false;
        }
        catch (OperationCanceledException)
        {
            throw new CliException(
                ExitCode.TimeLimit,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"time limit: VM {_lives.Count + 1} has not dirtied its memory within "
                        + $"{plan.Limit.TotalSeconds:0.#} s"),
                "a slow or busy host may need more: --timeout SECONDS");
        }

        throw new CliException(ExitCode.Failed, "the machine has ended");
    }

    private static long? Positive(KeyValueLine line, ReadOnlySpan<byte> key) =>
        line.Number(key) is > 0 and long value ? value : null;

    private static string Order(string verb, long vm) =>
        string.Create(CultureInfo.InvariantCulture, $"{verb} vm={vm}");

    private async Task<KeyValueLine> AskAsync(MonitorClient monitor, string command) =>
        (await monitor.RequestAsync(command, plan.Limit, CancellationToken.None).ConfigureAwait(false)).Final;
}
