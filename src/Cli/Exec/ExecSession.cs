using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Jobs;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Exec;

/// <summary>Jobs on a server that has their template warm, or in a machine of this run's own.</summary>
internal sealed class ExecSession(ExecPlan plan)
{
    private const int BrokenPipe = 13; // SIGPIPE

    /// <summary>What a terminal has where it does not say.</summary>
    private static readonly (int Rows, int Columns) _usualTerminal = (24, 80);

    private StandardInput? _input;

    /// <summary>Runs the program once.</summary>
    private delegate Task<JobOutcome> RunJob(
        JobStreams streams, Action<IRunningProgram>? started, CancellationToken cancellation);

    private (int Rows, int Columns)? Terminal =>
        plan.HasTerminal ? TerminalSize.Window ?? _usualTerminal : null;

    /// <summary>Runs everything and returns the exit code that the last, or the first bad, program deserves.</summary>
    public async Task<int> RunAsync(CancellationToken cancellation)
    {
        try
        {
            if (await TryServerAsync(cancellation).ConfigureAwait(false) is { } result)
            {
                return Report(result);
            }
        }
        catch (CliException error) when (error.ExitCode != ExitCode.Usage)
        {
            throw Failed(error);
        }

        using var folder = new RunFolder();
        PreparedTemplate template = Prepare(folder.Path);
        JobPlan job = MakeJob(template.Recipe);
        TemplatePlan machinePlan = template.Plan(plan.Parallel, plan.Cpu, plan.BootLimit);
        CommonOptions.CheckHostMemory(machinePlan.MachineMemory);
        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        string image = CommonOptions.FindImage();
        try
        {
            long begun = Stopwatch.GetTimestamp();
            TemplateMachine machine = await TemplateMachine.StartAsync(
                machinePlan, qemu, image, folder, cancellation).ConfigureAwait(false);
            await using (machine.ConfigureAwait(false))
            {
                long bootNs = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds;
                Notice.Progress($"[quietus] ready after {Duration.Format(bootNs)}");
                IReadOnlyList<JobOutcome> outcomes = await RunAllAsync(
                    (streams, started, token) => JobRunner.RunAsync(machine, job, streams, started, token),
                    cancellation).ConfigureAwait(false);
                return Report(new ExecResult(plan, template.Recipe, outcomes, bootNs, qemu.Version));
            }
        }
        catch (CliException error)
        {
            throw Failed(error);
        }
    }

    private static CliException Failed(CliException error) =>
        new(ExitCode.ExecFailed, error.Message, error.NextStep, error.Details);

    /// <summary>Runs everything on a server; null where there is none that has the template.</summary>
    private async Task<ExecResult?> TryServerAsync(CancellationToken cancellation)
    {
        string why = "no server runs";
        if (plan is { Server: not null, ServerTemplate: null })
        {
            why = "no server has this image, memory or CPU, or copies folders";
        }
        else if (plan is { Server: { } address, ServerTemplate: { } template }
            && (plan.NeedsServer || address.IsLive()))
        {
            try
            {
                return await RunOnServerAsync(
                    new ServerClient(address, plan.Token), template, cancellation).ConfigureAwait(false);
            }
            catch (NoTemplateException none)
            {
                why = $"the server at {address} says: {Printable.Line(none.Message)}";
            }
        }

        if (plan.NeedsServer)
        {
            throw CliException.Usage(
                why, "./quietus template build makes one; leave --server out to boot a machine here");
        }

        Notice.Progress($"[quietus] {why}: booting a machine for this run alone");
        return null;
    }

    private async Task<ExecResult> RunOnServerAsync(
        ServerClient client, string template, CancellationToken cancellation)
    {
        var request = new ExecRequest(
            plan.Command,
            plan.Environment,
            plan.User,
            plan.WorkingFolder,
            TimeoutMs: plan.Limit is { } limit ? Math.Max(1, (long)limit.TotalMilliseconds) : null,
            Terminal: Terminal is (int rows, int columns) ? new TerminalEntry(rows, columns) : null,
            FilesIn: plan.In.Count == 0 ? null : [.. plan.In.Select(FileOf)],
            FilesOut: plan.Out.Count == 0 ? null : [.. plan.Out.Select(copy => copy.From)],
            Network: plan.HasNetwork is { } hasNetwork ? CommonOptions.NetworkOf(hasNetwork) : null);
        ExecEnd? last = null;
        IReadOnlyList<JobOutcome> outcomes = await RunAllAsync(
            async (streams, started, token) =>
            {
                long begun = Stopwatch.GetTimestamp();
                last = await client.RunAsync(
                    template, request, new ServerJob(streams, plan.In, plan.Out, started), plan.BootLimit, token)
                    .ConfigureAwait(false);
                JobOutcome outcome = last.Outcome();

                // From the order to the answer, as this end sees it.
                return outcome with
                {
                    Times = outcome.Times with { TotalNs = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds },
                };
            },
            cancellation).ConfigureAwait(false);
        TemplateRecipe recipe = plan.Recipe with { MemoryBytes = last?.MemoryBytes ?? 0, Cpus = last?.Cpus ?? 0 };
        return new ExecResult(plan, recipe, outcomes, BootNs: 0, QemuVersion: null);
    }

    private static FileEntry FileOf(FileCopy copy) =>
        new(copy.To, (uint)File.GetUnixFileMode(copy.From), new FileInfo(copy.From).Length);

    private PreparedTemplate Prepare(string folder)
    {
        if (plan.Template is null)
        {
            return PreparedTemplate.Make(plan.Recipe, folder);
        }

        (TemplateEntry entry, StoredImage image) = TemplateStore.Load(plan.Template);
        return PreparedTemplate.Of(
            entry.Recipe() with { HasNetwork = plan.HasNetwork ?? entry.HasNetwork }, image, folder);
    }

    private JobPlan MakeJob(TemplateRecipe recipe) => new()
    {
        Order = recipe.Order(plan.Command, plan.Environment, plan.User, plan.WorkingFolder, Terminal)
            ?? throw CliException.Usage(
                "there is no command to run, and the image names none",
                "give one after --: ./quietus exec -- uname -a"),
        Before = plan.In.Count == 0 ? null : (client, token) => JobFiles.InAsync(plan.In, client, token),
        After = plan.Out.Count == 0 ? null : (client, token) => JobFiles.OutAsync(plan.Out, client, token),
        Limit = plan.Limit,
    };

    private async Task<IReadOnlyList<JobOutcome>> RunAllAsync(RunJob run, CancellationToken cancellation) =>
        plan.IsMeasured
            ? await new ExecRepeat(plan, (streams, token) => run(streams, null, token)).RunAsync(cancellation)
                .ConfigureAwait(false)
            : [await RunOnceAsync(run, cancellation).ConfigureAwait(false)];

    private async Task<JobOutcome> RunOnceAsync(RunJob run, CancellationToken cancellation)
    {
        (Stream output, Stream error) = StandardStreams.OpenForProgram();
        using RawTerminal? raw = plan.HasTerminal ? RawTerminal.Enter() : null;
        if (plan.HasTerminal || plan.IsInteractive || !RawTerminal.InputIsTerminal)
        {
            // One for all tries: it reads ahead.
            _input ??= new StandardInput();
        }

        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        SignalPass? signals = null;
        try
        {
            return await run(
                new JobStreams(_input, output, error),
                program => signals = new SignalPass(program, plan.HasTerminal, over.Token), cancellation)
                .ConfigureAwait(false);
        }
        catch (IOException) when (!cancellation.IsCancellationRequested)
        {
            // As the shell has it when a pipe's reader goes: `exec -- yes | head` ends.
            return new JobOutcome(ExitCode.Signalled + BrokenPipe, Message: null, new JobTimes());
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            signals?.Dispose();
        }
    }

    private int Report(ExecResult result)
    {
        foreach (JobOutcome outcome in result.Outcomes)
        {
            if (outcome.Message is { } message)
            {
                Console.Error.WriteLine("quietus: " + message);
                break;
            }
        }

        if (plan.IsMeasured && !ResultFile.IsStandardOutput(plan.Json))
        {
            ExecTable.Write(Console.Out, result);
        }

        if (plan.Json is { } path)
        {
            ResultFile.Write(path, stream => ExecDocument.Of(result).Write(stream));
        }

        return result.Code;
    }
}
