using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Jobs;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Exec;

/// <summary>A machine of this run's own, and the jobs in it.</summary>
internal sealed class ExecSession(ExecPlan plan)
{
    private const int BrokenPipe = 13; // SIGPIPE

    /// <summary>What a terminal has where it does not say.</summary>
    private static readonly (int Rows, int Columns) _usualTerminal = (24, 80);

    /// <summary>Runs everything and returns the exit code that the last, or the first bad, program deserves.</summary>
    public async Task<int> RunAsync(CancellationToken cancellation)
    {
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
            Notice.Progress("[quietus] no server runs: booting a machine for this run alone");
            TemplateMachine machine = await TemplateMachine.StartAsync(
                machinePlan, qemu, image, folder, cancellation).ConfigureAwait(false);
            await using (machine.ConfigureAwait(false))
            {
                long bootNs = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds;
                Notice.Progress($"[quietus] ready after {Duration.Format(bootNs)}");
                IReadOnlyList<JobOutcome> outcomes = plan.IsMeasured
                    ? await new ExecRepeat(plan, machine, job).RunAsync(cancellation).ConfigureAwait(false)
                    : [await RunOnceAsync(machine, job, cancellation).ConfigureAwait(false)];
                return Report(new ExecResult(plan, template.Recipe, outcomes, bootNs, qemu.Version));
            }
        }
        catch (CliException error)
        {
            throw new CliException(ExitCode.ExecFailed, error.Message, error.NextStep, error.Details);
        }
    }

    private PreparedTemplate Prepare(string folder)
    {
        if (plan.Template is null)
        {
            return PreparedTemplate.Make(plan.Recipe, folder);
        }

        (TemplateEntry entry, StoredImage image) = TemplateStore.Load(plan.Template);
        return PreparedTemplate.Of(entry.Recipe() with { HasNetwork = plan.Recipe.HasNetwork }, image, folder);
    }

    private JobPlan MakeJob(TemplateRecipe recipe)
    {
        (int, int)? terminal = plan.HasTerminal ? TerminalSize.Window ?? _usualTerminal : null;
        return new JobPlan
        {
            Order = recipe.Order(plan.Command, plan.Environment, plan.User, plan.WorkingFolder, terminal)
                ?? throw CliException.Usage(
                    "there is no command to run, and the image names none",
                    "give one after --: ./quietus exec -- uname -a"),
            In = plan.In,
            Out = plan.Out,
            Limit = plan.Limit,
        };
    }

    private async Task<JobOutcome> RunOnceAsync(
        TemplateMachine machine, JobPlan job, CancellationToken cancellation)
    {
        (Stream output, Stream error) = StandardStreams.OpenForProgram();
        using RawTerminal? raw = plan.HasTerminal ? RawTerminal.Enter() : null;
        bool hasInput = plan.HasTerminal || plan.IsInteractive || !RawTerminal.InputIsTerminal;
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        SignalPass? signals = null;
        try
        {
            return await JobRunner.RunAsync(
                machine, job, new JobStreams(hasInput ? new StandardInput() : null, output, error),
                client => signals = new SignalPass(client, plan.HasTerminal, over.Token), cancellation)
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
