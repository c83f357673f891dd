using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;

namespace Quietus.Service;

/// <summary>The templates that are held warm, a machine each; they come and go while the server runs.</summary>
internal sealed class TemplateHosts(ServePlan plan, QemuBinary qemu, string image, RunFolder folder) : IAsyncDisposable
{
    /// <summary>Templates at a time, whatever memory there is.</summary>
    public const int Most = 64;

    private readonly SemaphoreSlim _oneChange = new(1);
    private volatile TemplateHost[] _all = [];
    private volatile bool _isStopped;

    public IReadOnlyList<TemplateHost> All => _all;

    /// <summary>The list, with the names of those that could be held.</summary>
    public TemplateList List
    {
        get
        {
            TemplateHost[] all = _all;
            return new TemplateList(
                [.. all.Select(host => host.State)],
                [.. ServedTemplate.Names(plan.MayHaveNetwork).Except(all.Select(host => host.Name))]);
        }
    }

    /// <summary>One that is held; null where it is not.</summary>
    public TemplateHost? Find(string name) => _all.FirstOrDefault(host => host.Name == name);

    /// <summary>
    /// Those that the server begins with, to be started. A usage error where their memory is too much.
    /// </summary>
    public void Begin()
    {
        foreach (string name in plan.Templates)
        {
            _all = [.. _all, Make(name)];
        }

        if (MemoryBytes() > plan.MostMemory)
        {
            throw CliException.Usage(
                $"the machines need {ByteSize.FormatMegabytes(MemoryBytes())}, and may take "
                    + ByteSize.FormatMegabytes(plan.MostMemory),
                "fewer --vms or templates, templates with less memory, or more with --most-memory");
        }
    }

    /// <summary>Starts those.</summary>
    public void Start()
    {
        foreach (TemplateHost host in _all)
        {
            host.Start();
        }
    }

    /// <summary>Holds a template, if it is not held already, and begins to start it.</summary>
    public async Task<TemplateHost> HoldAsync(string name, CancellationToken cancellation)
    {
        await _oneChange.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (Find(name) is { } held)
            {
                return held;
            }

            Check(name);
            TemplateHost host = await Task.Run(() => Make(name), cancellation).ConfigureAwait(false);
            if (MemoryBytes() + host.MachineBytes is var needed && needed > plan.MostMemory)
            {
                await host.DisposeAsync().ConfigureAwait(false);
                throw new ServiceException(
                    ServiceException.Unavailable,
                    $"with '{name}' the machines need {ByteSize.FormatMegabytes(needed)}, and may take "
                        + ByteSize.FormatMegabytes(plan.MostMemory),
                    "DELETE a template that is not needed, or start the server with more --most-memory");
            }

            Notice.Write($"template {name} is held from now on");
            host.Start();
            _all = [.. _all, host];
            return host;
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <summary>Holds a template no more. Its VMs end.</summary>
    /// <param name="name">Which.</param>
    /// <param name="force">Also where VMs of it live, or jobs wait for one.</param>
    /// <param name="cancellation">Gives it up before it has begun.</param>
    public async Task ReleaseAsync(string name, bool force, CancellationToken cancellation)
    {
        await _oneChange.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            TemplateHost host = Find(name) ?? throw NotHeld(name);
            TemplateState state = host.State;
            if (!force && state.Vms + state.Waiting > 0)
            {
                throw new ServiceException(
                    ServiceException.Conflict, $"'{name}' has {state.Vms} VMs, and {state.Waiting} jobs wait for one",
                    "kill them, or add ?force=true, which ends them");
            }

            _all = [.. _all.Where(other => other != host)];
            await host.DisposeAsync().ConfigureAwait(false);
            Notice.Write($"template {name} is held no more");
        }
        finally
        {
            _oneChange.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        // What is being added is in the list then, and nothing more comes.
        await _oneChange.WaitAsync().ConfigureAwait(false);
        _isStopped = true;
        _oneChange.Release();
        foreach (TemplateHost host in _all)
        {
            await host.DisposeAsync().ConfigureAwait(false);
        }
    }

    public static ServiceException NotHeld(string name) => new(
        ServiceException.NotFound, $"there is no template '{Printable.Line(name)}' here",
        "GET /v1/templates has the list");

    private long MemoryBytes() => _all.Sum(host => host.MachineBytes);

    private void Check(string name)
    {
        if (_isStopped)
        {
            throw new ServiceException(ServiceException.Unavailable, "the server is stopping", "try again later");
        }

        if (_all.Length >= Most)
        {
            throw new ServiceException(
                ServiceException.TooMany, $"{Most} templates are held already", "DELETE one that is not needed");
        }

        if (ServedTemplate.HasNetwork(name) is not { } hasNetwork)
        {
            throw NotHeld(name);
        }

        if (hasNetwork && !plan.MayHaveNetwork)
        {
            throw new ServiceException(
                ServiceException.NotFound, $"'{name}' has a network, and this server may hold no template that has",
                "start it with --network user");
        }
    }

    private TemplateHost Make(string name)
    {
        string own = Path.Combine(folder.Path, Path.GetRandomFileName());
        PreparedTemplate template = ServedTemplate.Prepare(name, own);
        TemplatePlan machine = template.Plan(plan.MostVms, plan.Cpu, plan.BootLimit);
        return new TemplateHost(
            name, template.Recipe, plan, machine.MachineMemory,
            token => TemplateMachine.StartAsync(machine, qemu, image, folder, token),
            () => Directory.Delete(own, recursive: true));
    }
}
