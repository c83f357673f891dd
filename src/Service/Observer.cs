using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;

namespace Quietus.Service;

/// <summary>
/// Looks at everything for the page. However many pages ask, the machines are asked twice a second at most, and not at
/// all where none does.
/// </summary>
internal sealed class Observer(Api api, TemplateHosts hosts, Statistics statistics) : IDisposable
{
    private static readonly TimeSpan _fresh = TimeSpan.FromMilliseconds(500);

    private readonly SemaphoreSlim _one = new(1);
    private Overview? _last;
    private long _taken;

    public async Task<Overview> LookAsync(CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (_last is null || Stopwatch.GetElapsedTime(_taken) > _fresh)
            {
                _last = await TakeAsync(cancellation).ConfigureAwait(false);
                _taken = Stopwatch.GetTimestamp();
            }

            return _last;
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose() => _one.Dispose();

    private async Task<Overview> TakeAsync(CancellationToken cancellation)
    {
        var views = new Dictionary<TemplateMachine, (TemplateHost Host, MachineView View)>();
        foreach (TemplateHost host in hosts.All)
        {
            if (host.Machine is { } machine
                && await TryLookAsync(machine, cancellation).ConfigureAwait(false) is { } view)
            {
                views[machine] = (host, view);
            }
        }

        Dictionary<(TemplateMachine, long), long> ids = [];
        VmRegistry.Entry[] entries = [.. api.Registry.All];
        foreach (VmRegistry.Entry entry in entries)
        {
            ids[(entry.Machine, entry.Vm.Number)] = entry.Id;
        }

        TemplateList templates = hosts.List;
        return new Overview(
            api.Health().Status,
            api.Health().Version,
            (long)Stopwatch.GetElapsedTime(0).TotalNanoseconds,
            api.Registry.Births,
            api.Registry.Deaths,
            entries.Count(entry => !entry.Vm.Ended.IsCompleted),
            statistics.Steps(),
            templates.Templates,
            templates.Others,
            [.. entries.Select(entry => View(entry, views))],
            [.. views.Select(pair => Pool(pair.Key, pair.Value.Host, pair.Value.View, ids))]);
    }

    private static async Task<MachineView?> TryLookAsync(TemplateMachine machine, CancellationToken cancellation)
    {
        try
        {
            return await machine.LookAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception error) when (error is CliException or MonitorException or IOException)
        {
            // It ends at this moment, or is of a hypervisor that has no map.
            return null;
        }
    }

    private static VmView View(
        VmRegistry.Entry entry, Dictionary<TemplateMachine, (TemplateHost Host, MachineView View)> views)
    {
        KeyValueLine? line = views.TryGetValue(entry.Machine, out (TemplateHost Host, MachineView View) view)
            ? view.View.Vms.FirstOrDefault(vm => vm.TryNumber("vm") == entry.Vm.Number)
            : null;
        VmState state = entry.State;
        return new VmView(
            state.Id, state.Template, state.Kind, state.State, state.Message, state.Parent,
            line?.TryNumber("cpu_ns") ?? 0, line?.TryNumber("held_bytes") ?? 0, line?.TryNumber("memory_bytes") ?? 0);
    }

    private static PoolView Pool(
        TemplateMachine machine, TemplateHost host, MachineView view, Dictionary<(TemplateMachine, long), long> ids) =>
        new(
            host.Name, MachineView.ChunkBytes, view.Chunks,
            [
                .. view.Runs.Select(run =>
                {
                    long? number = run.TryNumber("vm");
                    string use = number == view.Template ? "template" : run.Value("use") ?? "dirty";
                    long? id = number is { } vm && ids.TryGetValue((machine, vm), out long known) ? known : null;
                    return new RunView(run.TryNumber("count") ?? 0, use, id);
                }),
            ]);
}
