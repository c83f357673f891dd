using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Many;

/// <summary>
/// Measures many VMs on few cores: a machine for each question. Ctrl-C keeps the figures that there are.
/// </summary>
internal sealed class ManyRunner(ManyPlan plan, QemuBinary qemu, string image, Action<string> progress)
{
    /// <summary>
    /// Cores of the machine that shares are measured on go on in such turns: much shorter than a slice. A slice begins
    /// with its core's turn, so that one turn's part of it is work too much, which is more of a short slice.
    /// </summary>
    private const int TurnMicroseconds = 5;

    private const long SmallMachine = 512 * ByteSize.Megabyte;

    /// <summary>
    /// How long the hypervisor may take to come up, and again for each gigabyte, which idle cores scrub meanwhile.
    /// </summary>
    private static readonly TimeSpan _bootLimit = TimeSpan.FromSeconds(60);

    private readonly List<ManyFigure> _figures = [];
    private string _command = string.Empty;
    private int _answered;
    private int _vmidBits;
    private long _rollovers;

    public async Task<ManyResult> RunAsync(CancellationToken cancellation)
    {
        long begun = Stopwatch.GetTimestamp();
        string sha256 = FileHash.Sha256(image);
        bool isInterrupted = false;
        try
        {
            GuestPayload filler = GuestPayload.MakeFiller();
            await OnMachineAsync(
                2, SmallMachine, filler, null, boot => new SwitchMeasurement(boot, progress).RunAsync(), cancellation)
                .ConfigureAwait(false);
            await OnMachineAsync(
                ManyPlan.Cores, SmallMachine, filler, TurnMicroseconds,
                boot => new ShareMeasurement(boot, progress).RunAsync(), cancellation).ConfigureAwait(false);
            await OnMachineAsync(
                ManyPlan.Cores, plan.MachineMemory, plan.Guest, null, CrowdAsync, cancellation).ConfigureAwait(false);
            await OnMachineAsync(
                2, plan.MachineMemory, plan.Guest, null,
                boot => new IdleMeasurement(plan, boot, progress).RunAsync(), cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            isInterrupted = true;
        }

        return new ManyResult
        {
            Plan = plan,
            Figures = _figures,
            Answered = _answered,
            VmidBits = _vmidBits,
            VmidRollovers = _rollovers,
            IsInterrupted = isInterrupted,
            QemuCommand = _command,
            QemuVersion = qemu.Version,
            ImageSha256 = sha256,
            WallNanoseconds = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds,
        };
    }

    private async Task<IReadOnlyList<ManyFigure>> CrowdAsync(BirthsBoot boot)
    {
        var crowd = new Crowd(plan, boot, progress);
        IReadOnlyList<ManyFigure> figures = await crowd.RunAsync().ConfigureAwait(false);
        _answered = crowd.Answered;
        _vmidBits = crowd.VmidBits;
        _rollovers = crowd.VmidRollovers;
        return figures;
    }

    private async Task OnMachineAsync(
        int cores, long memory, GuestPayload guest, int? turn,
        Func<BirthsBoot, Task<IReadOnlyList<ManyFigure>>> measure, CancellationToken cancellation)
    {
        using var folder = new RunFolder();
        var machine = new QemuMachine
        {
            Cpu = plan.Cpu.QemuName,
            Processors = cores,
            MemoryBytes = memory,
            Image = image,
            Bundle = guest.Pack(folder.Path),
            CountsInstructions = true,
            TurnMicroseconds = turn,

            // Children of one template are to draw numbers of their own.
            HasSeed = true,
        };
        _command = machine.CommandLine(QemuBinary.Name);
        TimeSpan limit = _bootLimit * (1 + (memory / (double)ByteSize.Gigabyte));
        QemuSession session = await QemuSession.StartAsync(qemu, machine, folder, limit, cancellation)
            .ConfigureAwait(false);
        await using (session.ConfigureAwait(false))
        {
            try
            {
                _figures.AddRange(await measure(new BirthsBoot(session.Monitor, plan.Limit, cancellation))
                    .ConfigureAwait(false));
            }
            catch (MonitorException error)
            {
                throw new CliException(
                    ExitCode.Failed, "the hypervisor refused: " + Printable.Line(error.Message));
            }

            if (session.Monitor.FramesLost + session.Monitor.FramesDamaged > 0)
            {
                throw new CliException(ExitCode.Failed, string.Create(
                    CultureInfo.InvariantCulture,
                    $"{session.Monitor.FramesLost} frames of the link were lost, "
                        + $"{session.Monitor.FramesDamaged} damaged"));
            }
        }
    }
}
