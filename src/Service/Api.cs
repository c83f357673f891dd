using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Quietus.Cli;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Exec;
using Quietus.Cli.Jobs;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;

namespace Quietus.Service;

/// <summary>What each request does (docs/serve.md).</summary>
internal sealed class Api(ServePlan plan, TemplateHosts hosts, Statistics statistics) : IDisposable
{
    private const string Lines = "application/x-ndjson";
    private const uint UsualMode = 0x1A4; // 0644

    private readonly VmRegistry _vms = new();
    private readonly CancellationTokenSource _stop = new();
    private int _running;
    private volatile bool _isStopping;

    public VmRegistry Registry => _vms;

    public Health Health() => new(_isStopping ? "stopping" : "ok", ThisProgram.Version);

    public TemplateList Templates() => hosts.List;

    /// <summary>Holds a template warm from now on.</summary>
    public async Task<TemplateState> HoldAsync(HoldRequest request, HttpContext context)
    {
        string name = request.Name
            ?? throw new ServiceException(ServiceException.BadRequest, "no name is given", """send {"name":"…"}""");
        TemplateState state = null!;
        await CountAsync(name, async cancellation =>
        {
            state = (await hosts.HoldAsync(name, cancellation).ConfigureAwait(false)).State;
        }, context.RequestAborted).ConfigureAwait(false);
        return state;
    }

    /// <summary>Holds a template no more.</summary>
    public Task ReleaseAsync(string name, bool force, HttpContext context) => CountAsync(
        name, cancellation => hosts.ReleaseAsync(name, force, cancellation), context.RequestAborted);

    public VmList Vms() => new(_vms.List());

    public VmState Vm(long id) => _vms.Find(id).State;

    /// <summary>Runs a program in a fresh child of a template, which is dead when the answer is complete.</summary>
    public Task ExecAsync(string name, ExecRequest request, HttpContext context) =>
        CountAsync(name, async cancellation =>
        {
            TemplateHost host = await HoldAsync(name, cancellation).ConfigureAwait(false);
            JobPlan job = Plan(host, request);
            await AnswerLinesAsync(
                host, request, context,
                streams => RunInChildAsync(host, job, streams, started: null, cancellation)).ConfigureAwait(false);
        }, context.RequestAborted);

    /// <summary>The same over a WebSocket.</summary>
    public async Task ExecLiveAsync(string name, HttpContext context)
    {
        TemplateHost host = await HoldAsync(name, context.RequestAborted).ConfigureAwait(false);
        await LiveAsync(host, context, (job, streams, started, cancellation) =>
            RunInChildAsync(host, job, streams, started, cancellation)).ConfigureAwait(false);
    }

    /// <summary>A VM that lives until it is killed.</summary>
    public async Task<VmState> BearAsync(string name, HttpContext context)
    {
        VmState state = null!;
        await CountAsync(name, async cancellation =>
        {
            TemplateHost host = await HoldAsync(name, cancellation).ConfigureAwait(false);
            state = await AddAsync(host, parent: null, cancellation).ConfigureAwait(false);
        }, context.RequestAborted).ConfigureAwait(false);
        return state;
    }

    /// <summary>Runs a program in a VM that is there.</summary>
    public Task ExecInVmAsync(long id, ExecRequest request, HttpContext context)
    {
        VmRegistry.Entry entry = _vms.FindRunning(id);
        return CountAsync(entry.Template, async cancellation =>
        {
            TemplateHost host = Find(entry.Template);
            JobPlan job = Plan(host, request);
            await AnswerLinesAsync(
                host, request, context,
                streams => JobRunner.RunInAsync(entry.Machine, entry.Vm, job, streams, started: null, cancellation))
                .ConfigureAwait(false);
        }, context.RequestAborted);
    }

    /// <summary>The same over a WebSocket.</summary>
    public Task ExecLiveInVmAsync(long id, HttpContext context)
    {
        VmRegistry.Entry entry = _vms.FindRunning(id);
        return LiveAsync(Find(entry.Template), context, (job, streams, started, cancellation) =>
            JobRunner.RunInAsync(entry.Machine, entry.Vm, job, streams, started, cancellation));
    }

    /// <summary>Puts a VM back to its birth.</summary>
    public async Task<VmState> ResetAsync(long id, HttpContext context)
    {
        VmRegistry.Entry entry = _vms.FindKept(id);
        await CountAsync(entry.Template, cancellation =>
            entry.Machine.ResetAsync(entry.Vm, cancellation), context.RequestAborted).ConfigureAwait(false);
        return entry.State;
    }

    /// <summary>Makes a template of a VM, whose memory is then its children's.</summary>
    public async Task<VmState> FreezeAsync(long id, HttpContext context)
    {
        VmRegistry.Entry entry = _vms.FindKept(id);
        await CountAsync(entry.Template, cancellation =>
            entry.Machine.FreezeAsync(entry.Vm, cancellation), context.RequestAborted).ConfigureAwait(false);
        return entry.State;
    }

    /// <summary>A child of a VM that was frozen.</summary>
    public async Task<VmState> ForkAsync(long id, HttpContext context)
    {
        VmRegistry.Entry entry = _vms.FindKept(id, mayBeFrozen: true);
        if (!entry.Vm.Frozen.IsCompletedSuccessfully)
        {
            throw new ServiceException(ServiceException.Conflict, $"VM {id} is not frozen", "freeze it first");
        }

        VmState state = null!;
        await CountAsync(entry.Template, async cancellation =>
        {
            state = await AddAsync(Find(entry.Template), entry, cancellation).ConfigureAwait(false);
        }, context.RequestAborted).ConfigureAwait(false);
        return state;
    }

    /// <summary>Kills a VM, a job's too.</summary>
    public Task KillAsync(long id, HttpContext context) => CountAsync(
        _vms.Find(id).Template, cancellation => _vms.KillAsync(id, cancellation), context.RequestAborted);

    /// <summary>Writes a file in a VM: the request's body.</summary>
    public Task PutFileAsync(long id, string path, HttpContext context)
    {
        VmRegistry.Entry entry = _vms.FindRunning(id);
        long bytes = context.Request.ContentLength ?? throw new ServiceException(
            ServiceException.BadRequest, "a file that is put needs a Content-Length", "curl --upload-file sends one");
        CheckPath(path);
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = FileCopy.MostBytes;
        }

        return CountAsync(entry.Template, async cancellation =>
        {
            JobClient client = await entry.Machine.ConnectAsync(entry.Vm, cancellation).ConfigureAwait(false);
            await using (client.ConfigureAwait(false))
            {
                await client.PutAsync(path, UsualMode, context.Request.Body, bytes, cancellation).ConfigureAwait(false);
            }

            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }, context.RequestAborted);
    }

    /// <summary>Reads a file of a VM's.</summary>
    public Task GetFileAsync(long id, string path, HttpContext context)
    {
        VmRegistry.Entry entry = _vms.FindRunning(id);
        CheckPath(path);
        return CountAsync(entry.Template, async cancellation =>
        {
            JobClient client = await entry.Machine.ConnectAsync(entry.Vm, cancellation).ConfigureAwait(false);
            await using (client.ConfigureAwait(false))
            {
                context.Response.ContentType = "application/octet-stream";
                await client.GetAsync(path, context.Response.Body, FileCopy.MostBytes, cancellation)
                    .ConfigureAwait(false);
            }
        }, context.RequestAborted);
    }

    public void Dispose() => _stop.Dispose();

    /// <summary>Takes no new work, waits for what runs as long as it may, and then ends it.</summary>
    public async Task StopAsync()
    {
        _isStopping = true;
        await WaitForJobsAsync(plan.Grace).ConfigureAwait(false);
        await _stop.CancelAsync().ConfigureAwait(false);

        // Each is answered.
        await WaitForJobsAsync(TimeSpan.FromSeconds(5)).ConfigureAwait(false);
    }

    private async Task WaitForJobsAsync(TimeSpan limit)
    {
        using var patience = new CancellationTokenSource(limit);
        while (Volatile.Read(ref _running) > 0 && !patience.IsCancellationRequested)
        {
            await Task.Delay(20, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private static void CheckPath(string path)
    {
        if (!path.StartsWith('/'))
        {
            throw new ServiceException(
                ServiceException.BadRequest, "the guest's path does not begin with /", "give ?path=/the/whole/path");
        }
    }

    private TemplateHost Find(string name) => hosts.Find(name) ?? throw TemplateHosts.NotHeld(name);

    /// <summary>
    /// A template's host, which is made where the template is not held yet. Where the limits do not allow that, there
    /// is no such template here: a client can boot a machine of its own at once.
    /// </summary>
    private async Task<TemplateHost> HoldAsync(string name, CancellationToken cancellation)
    {
        if (hosts.Find(name) is { } held)
        {
            return held;
        }

        try
        {
            return await hosts.HoldAsync(name, cancellation).ConfigureAwait(false);
        }
        catch (ServiceException error) when (error.IsWorthAnotherTry && !_isStopping)
        {
            throw new ServiceException(
                ServiceException.NotFound, $"'{name}' is not held, and cannot be: {error.Message}",
                error.Problem.Next);
        }
    }

    private async Task<JobOutcome> RunInChildAsync(
        TemplateHost host, JobPlan job, JobStreams streams, Action<IRunningProgram>? started,
        CancellationToken cancellation)
    {
        using TemplateHost.Place place = await host.EnterAsync(mayWait: true, cancellation).ConfigureAwait(false);
        VmRegistry.Entry? entry = null;
        try
        {
            return await JobRunner.RunAsync(
                place.Machine,
                job with { Born = vm => entry = _vms.AddJob(host.Name, place.Machine, vm) },
                streams, started, cancellation).ConfigureAwait(false);
        }
        catch (CliException error) when (entry is null && !place.Machine.Ended.IsCompleted)
        {
            throw new ServiceException(ServiceException.Unavailable, error.Message, error.NextStep);
        }
        finally
        {
            entry?.Dispose();
        }
    }

    /// <summary>
    /// Something that takes a VM: counted, ended when the client or the server goes, its errors explained.
    /// </summary>
    private async Task CountAsync(string template, Func<CancellationToken, Task> work, CancellationToken client)
    {
        Interlocked.Increment(ref _running);
        try
        {
            if (_isStopping)
            {
                throw new ServiceException(ServiceException.Unavailable, "the server is stopping", "try again later");
            }

            using var either = CancellationTokenSource.CreateLinkedTokenSource(client, _stop.Token);
            await work(either.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (Explain(error, client) is { } explained)
        {
            statistics.Failed(template, explained.IsWorthAnotherTry ? "refused" : "failed");
            throw explained;
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    /// <summary>The error as a client is told it; null where there is no client to tell, or a defect.</summary>
    private ServiceException? Explain(Exception error, CancellationToken client) => error switch
    {
        ServiceException known => known,
        CliException failed => new ServiceException(
            ServiceException.Failed, failed.Message, failed.NextStep, failed.Details),
        MonitorException refused => new ServiceException(
            ServiceException.Conflict, "the hypervisor refused: " + refused.Message),
        JobException failed => new ServiceException(ServiceException.Conflict, failed.Message),
        OperationCanceledException when _stop.IsCancellationRequested => new ServiceException(
            ServiceException.Unavailable, "the server has stopped in the middle of it", "try again later"),
        IOException broken when !client.IsCancellationRequested => new ServiceException(
            ServiceException.Failed, broken.Message),
        _ => null,
    };

    private async Task<VmState> AddAsync(TemplateHost host, VmRegistry.Entry? parent, CancellationToken cancellation)
    {
        TemplateHost.Place place = await host.EnterAsync(mayWait: false, cancellation).ConfigureAwait(false);
        try
        {
            if (parent is not null && place.Machine != parent.Machine)
            {
                throw new ServiceException(
                    ServiceException.Conflict, $"VM {parent.Id} went with its machine", "make another one");
            }

            MachineVm vm = await place.Machine.BearAsync(parent?.Vm, cancellation).ConfigureAwait(false);
            return _vms.AddKept(host.Name, place, vm, parent?.Id).State;
        }
        catch (MonitorException error)
        {
            place.Dispose();
            throw new ServiceException(
                ServiceException.Unavailable, "there is no room for another VM: " + Printable.Line(error.Message));
        }
        catch
        {
            place.Dispose();
            throw;
        }
    }

    private JobPlan Plan(TemplateHost host, ExecRequest request)
    {
        if (request.Network is { } network && network != host.State.Network)
        {
            throw network is CommonOptions.NoNetwork or CommonOptions.UserNetwork
                ? new ServiceException(
                    ServiceException.NotFound, $"'{host.Name}' is no template with network {network}",
                    "GET /v1/templates says which has one")
                : new ServiceException(ServiceException.BadRequest, "a network is none or user");
        }

        if (request.Environment?.Any(variable => variable.IndexOf('=', StringComparison.Ordinal) < 1) == true)
        {
            throw new ServiceException(ServiceException.BadRequest, "a variable is not NAME=VALUE");
        }

        if (request.FilesIn?.Any(file => file is not { Bytes: >= 0 and <= FileCopy.MostBytes, Path: ['/', ..] }) == true
            || request.FilesOut?.Any(path => path is not ['/', ..]) == true)
        {
            throw new ServiceException(
                ServiceException.BadRequest, "a file's path does not begin with /, or its length cannot be");
        }

        TimeSpan limit = request.TimeoutMs is { } wanted and > 0
            && wanted < plan.MostTime.TotalMilliseconds ? TimeSpan.FromMilliseconds(wanted) : plan.MostTime;
        return new JobPlan
        {
            Order = host.Recipe.Order(
                request.Command ?? [], request.Environment ?? [], request.User, request.WorkingFolder,
                request.Terminal is { } terminal ? (terminal.Rows, terminal.Columns) : null)
                ?? throw new ServiceException(ServiceException.BadRequest, "there is no command to run"),
            Limit = limit,
        };
    }

    /// <summary>Runs a job over a WebSocket.</summary>
    private async Task LiveAsync(
        TemplateHost host, HttpContext context,
        Func<JobPlan, JobStreams, Action<IRunningProgram>?, CancellationToken, Task<JobOutcome>> run)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            throw new ServiceException(
                ServiceException.BadRequest, "this is spoken over a WebSocket", "POST …/exec needs none");
        }

        using var socket = new JobSocket(await context.WebSockets.AcceptWebSocketAsync(Access.Protocol(context))
            .ConfigureAwait(false));
        LiveJob live;
        try
        {
            live = await LiveJob.BeginAsync(socket, context.RequestAborted).ConfigureAwait(false);
        }
        catch (IOException error)
        {
            await socket.SayAsync(
                new ServerNote(Problem: new Problem(ServiceException.BadRequest, error.Message, null)),
                MessageContext.Default.ServerNote, context.RequestAborted).ConfigureAwait(false);
            return;
        }

        await using (live.ConfigureAwait(false))
        {
            ServerNote? last = null;
            try
            {
                await CountAsync(host.Name, async cancellation =>
                {
                    JobPlan job = Plan(host, live.Request) with
                    {
                        Before = live.FilesInAsync,
                        After = live.FilesOutAsync,
                    };
                    JobOutcome outcome = await run(job, live.Streams, live.Start, cancellation).ConfigureAwait(false);
                    statistics.Ended(host.Name, outcome);
                    last = new ServerNote(End: ExecEnd.Of(outcome, host.Recipe));
                }, live.Gone).ConfigureAwait(false);
            }
            catch (ServiceException error)
            {
                last = new ServerNote(Problem: error.Problem);
            }
            catch (Exception error) when (error is IOException or OperationCanceledException)
            {
                // The client has gone: the job with it.
                statistics.Failed(host.Name, "gone");
            }

            if (last is not null)
            {
                await live.AnswerAsync(last).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Runs a job and answers line by line, as its output comes and as the client takes it.</summary>
    private async Task AnswerLinesAsync(
        TemplateHost host, ExecRequest request, HttpContext context, Func<JobStreams, Task<JobOutcome>> run)
    {
        if (request.Terminal is not null || request.FilesIn is not null || request.FilesOut is not null)
        {
            throw new ServiceException(
                ServiceException.BadRequest, "a terminal, and files, need a WebSocket: GET …/run");
        }

        using var oneLine = new SemaphoreSlim(1);
        using Stream? input = Input(request);
        var streams = new JobStreams(
            input,
            new CallStream((bytes, token) => LineAsync(new ExecLine(Stdout: Text(bytes)), token)),
            new CallStream((bytes, token) => LineAsync(new ExecLine(Stderr: Text(bytes)), token)));
        try
        {
            JobOutcome outcome = await run(streams).ConfigureAwait(false);
            statistics.Ended(host.Name, outcome);
            await LineAsync(new ExecLine(End: ExecEnd.Of(outcome, host.Recipe)), context.RequestAborted)
                .ConfigureAwait(false);
        }
        catch (Exception error) when (context.Response.HasStarted
            && Explain(error, context.RequestAborted) is { } explained)
        {
            // The status is sent: the last line says it.
            statistics.Failed(host.Name, "failed");
            await LineAsync(new ExecLine(Problem: explained.Problem), context.RequestAborted).ConfigureAwait(false);
        }

        static string Text(ReadOnlyMemory<byte> bytes) => Convert.ToBase64String(bytes.Span);

        async Task LineAsync(ExecLine line, CancellationToken token)
        {
            await oneLine.WaitAsync(token).ConfigureAwait(false);
            try
            {
                if (!context.Response.HasStarted)
                {
                    context.Response.ContentType = Lines;
                }

                byte[] text = JsonSerializer.SerializeToUtf8Bytes(line, MessageContext.Default.ExecLine);
                await context.Response.Body.WriteAsync((byte[])[.. text, (byte)'\n'], token).ConfigureAwait(false);
                await context.Response.Body.FlushAsync(token).ConfigureAwait(false);
            }
            finally
            {
                oneLine.Release();
            }
        }
    }

    private static MemoryStream? Input(ExecRequest request)
    {
        try
        {
            return request.Stdin is { } text ? new MemoryStream(Convert.FromBase64String(text)) : null;
        }
        catch (FormatException)
        {
            throw new ServiceException(ServiceException.BadRequest, "stdin is not base64");
        }
    }
}
