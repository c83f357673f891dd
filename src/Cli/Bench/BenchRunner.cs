using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Wire;

namespace Quietus.Cli.Bench;

/// <summary>
/// Carries out a plan: boots the machines, some at a time, and puts the results into the plan's order.
/// </summary>
internal sealed class BenchRunner(BenchPlan plan, QemuBinary qemu, string image, IBenchProgress progress)
{
    /// <summary>
    /// How long the hypervisor may take to come up, on a slow host, and again for each gigabyte, which idle cores scrub
    /// meanwhile; less when the plan says so.
    /// </summary>
    private static readonly TimeSpan _longestBoot = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private Primitives _primitives = new();
    private string _version = string.Empty;
    private string _qemuCommand = string.Empty;
    private long _received;
    private long _damaged;
    private long _lost;

    public async Task<BenchResult> RunAsync(
        string command, IReadOnlyList<string> notes, CancellationToken cancellation)
    {
        long begun = Stopwatch.GetTimestamp();
        using var folder = new RunFolder();
        string sha256 = FileHash.Sha256(image);
        Dictionary<GuestPayload, string?> bundles = plan.Guests
            .ToDictionary(guest => guest, guest => guest.Pack(folder.Path));
        IReadOnlyList<BenchCase> cases = plan.Cases;
        var rows = new BenchRow?[cases.Count];
        IReadOnlyList<IReadOnlyList<int>> boots = plan.Boots;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var slots = new SemaphoreSlim(plan.Jobs);
        CliException? first = null;
        async Task BootAsync(int number)
        {
            await slots.WaitAsync(stop.Token).ConfigureAwait(false);
            try
            {
                GuestPayload guest = cases[boots[number][0]].Guest;
                await BootOneAsync(boots[number], cases, rows, bundles[guest], folder, number == 0, stop.Token)
                    .ConfigureAwait(false);
            }
            catch (CliException error)
            {
                // The other boots fail because of this one; theirs are not the errors to show.
                Interlocked.CompareExchange(ref first, error, null);
                await stop.CancelAsync().ConfigureAwait(false);
                throw;
            }
            finally
            {
                slots.Release();
            }
        }

        try
        {
            await Task.WhenAll(Enumerable.Range(0, boots.Count).Select(BootAsync)).ConfigureAwait(false);
        }
        catch (Exception error) when (error is CliException or OperationCanceledException)
        {
            if (!cancellation.IsCancellationRequested)
            {
                throw first ?? error;
            }

            // Ctrl-C: what was measured until then is the result.
            if (Array.TrueForAll(rows, row => row is null))
            {
                throw new OperationCanceledException(cancellation);
            }
        }

        return new BenchResult
        {
            Plan = plan,
            Qemu = qemu,
            ImageSha256 = sha256,
            HypervisorVersion = _version,
            Command = command,
            QemuCommand = _qemuCommand,
            Rows = [.. rows.OfType<BenchRow>()],
            Primitives = _primitives,
            Notes = notes,
            FramesReceived = _received,
            FramesDamaged = _damaged,
            FramesLost = _lost,
            WallNanoseconds = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds,
        };
    }

    private async Task BootOneAsync(
        IReadOnlyList<int> indexes,
        IReadOnlyList<BenchCase> cases,
        BenchRow?[] rows,
        string? bundle,
        RunFolder folder,
        bool isFirst,
        CancellationToken cancellation)
    {
        BenchCase sample = cases[indexes[0]];
        var machine = new QemuMachine
        {
            Cpu = plan.Cpu.QemuName,
            Processors = Math.Max(2, plan.Cpus + 1),
            MemoryBytes = BenchPlan.MachineMemory(sample.Guest, sample.MemoryBytes),
            Image = image,
            Bundle = bundle,
            CountsInstructions = true,
        };
        TimeSpan longest = _longestBoot * (1 + (machine.MemoryBytes / (double)CommandLine.ByteSize.Gigabyte));
        TimeSpan limit = plan.Limit < longest ? plan.Limit : longest;
        QemuSession session = await QemuSession.StartAsync(qemu, machine, folder, limit, cancellation)
            .ConfigureAwait(false);
        await using (session.ConfigureAwait(false))
        {
            if (isFirst)
            {
                await IntroduceAsync(session.Monitor, machine, limit, cancellation).ConfigureAwait(false);
            }

            var boot = new BenchBoot(session.Monitor, plan);
            if (isFirst)
            {
                _primitives = await boot.MeasurePrimitivesAsync(cancellation).ConfigureAwait(false);
            }

            foreach (int index in indexes)
            {
                progress.Begins(cases[index]);
                rows[index] = await boot.MeasureAsync(cases[index], cancellation).ConfigureAwait(false);
                progress.Measured(rows[index]!);
            }

            lock (_lock)
            {
                _received += session.Monitor.FramesReceived;
                _damaged += session.Monitor.FramesDamaged;
                _lost += session.Monitor.FramesLost;
            }

            if (!await session.PowerOffAsync(cancellation).ConfigureAwait(false))
            {
                throw new CliException(
                    ExitCode.Failed,
                    "the machine did not power off when told to",
                    "please report it: the hypervisor is stuck after its last VM");
            }
        }
    }

    private async Task IntroduceAsync(
        MonitorClient monitor, QemuMachine machine, TimeSpan limit, CancellationToken cancellation)
    {
        _qemuCommand = machine.CommandLine(QemuBinary.Name);
        try
        {
            MonitorReply reply = await monitor.RequestAsync("version", limit, cancellation)
                .ConfigureAwait(false);
            _version = reply.Final.Value("version") ?? "unknown";
            string protocol = reply.Final.Value("protocol") ?? "none";
            if (protocol != FrameFormat.Protocol.ToString(CultureInfo.InvariantCulture))
            {
                throw new CliException(
                    ExitCode.Failed,
                    $"the image speaks protocol {Terminals.Printable.Line(protocol)}, this program speaks "
                        + FrameFormat.Protocol.ToString(CultureInfo.InvariantCulture),
                    "build the image again: ./quietus does it");
            }
        }
        catch (MonitorException error)
        {
            throw new CliException(
                ExitCode.Failed, "the hypervisor refuses 'version': " + Terminals.Printable.Line(error.Message));
        }
    }
}
