using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;

namespace Quietus.Service;

/// <summary>The VMs: those of jobs while they run, and those that were asked for, until they are killed.</summary>
internal sealed class VmRegistry
{
    /// <summary>VMs that have ended by themselves and can still be asked why.</summary>
    private const int MostEnded = 256;

    private readonly ConcurrentDictionary<long, Entry> _entries = new();
    private long _last;
    private long _births;
    private long _deaths;

    /// <summary>VMs born since the server began.</summary>
    public long Births => Interlocked.Read(ref _births);

    /// <summary>VMs that have died since then.</summary>
    public long Deaths => Interlocked.Read(ref _deaths);

    public IReadOnlyList<Entry> All => [.. _entries.Values.OrderBy(entry => entry.Id)];

    public IReadOnlyList<VmState> List() => [.. All.Select(entry => entry.State)];

    /// <summary>Notes a job's VM; dispose the note when it is dead.</summary>
    public Entry AddJob(string template, TemplateMachine machine, MachineVm vm) =>
        Add(new Entry(this, Interlocked.Increment(ref _last), template, machine, vm, place: null, parent: null));

    /// <summary>Notes a VM that lives on, and gives its place back when it ends.</summary>
    public Entry AddKept(string template, TemplateHost.Place place, MachineVm vm, long? parent)
    {
        Entry entry = Add(new Entry(
            this, Interlocked.Increment(ref _last), template, place.Machine, vm, place, parent));
        _ = LeaveAsync(entry, place);
        return entry;
    }

    /// <summary>One of them, whatever its state; a <see cref="ServiceException"/> where there is none.</summary>
    public Entry Find(long id) => _entries.TryGetValue(id, out Entry? entry)
        ? entry
        : throw new ServiceException(ServiceException.NotFound, $"there is no VM {id}", "GET /v1/vms has the list");

    /// <summary>One that runs; a <see cref="ServiceException"/> where it does not.</summary>
    public Entry FindRunning(long id, bool mayBeFrozen = false)
    {
        Entry entry = Find(id);
        return entry.State.State switch
        {
            "running" => entry,
            "frozen" when mayBeFrozen => entry,
            "frozen" => throw new ServiceException(
                ServiceException.Conflict, $"VM {id} is frozen: nothing runs in it", "fork it, and use its child"),
            _ => throw new ServiceException(
                ServiceException.Conflict, $"VM {id} has ended: {entry.State.Message}", "make another one"),
        };
    }

    /// <summary>One that runs and is no job's; a <see cref="ServiceException"/> otherwise.</summary>
    public Entry FindKept(long id, bool mayBeFrozen = false)
    {
        Entry entry = FindRunning(id, mayBeFrozen);
        return entry.IsKept ? entry : throw new ServiceException(
            ServiceException.Conflict, $"VM {id} is a job's, and dies with it", "it can be killed, nothing else");
    }

    /// <summary>Kills one; one that has ended is only forgotten.</summary>
    public async Task KillAsync(long id, CancellationToken cancellation)
    {
        Entry entry = Find(id);
        if (!entry.Vm.Ended.IsCompleted)
        {
            entry.Vm.End("it was killed");
            await entry.Machine.KillAsync(entry.Vm, cancellation).ConfigureAwait(false);
        }

        entry.Forget();
    }

    private Entry Add(Entry entry)
    {
        Interlocked.Increment(ref _births);
        _entries[entry.Id] = entry;
        return entry;
    }

    private void Remove(long id) => _entries.TryRemove(id, out _);

    private void Died() => Interlocked.Increment(ref _deaths);

    private async Task LeaveAsync(Entry entry, TemplateHost.Place place)
    {
        await entry.Vm.Ended.ConfigureAwait(false);
        place.Dispose();
        entry.Die();
        foreach (Entry old in _entries.Values.Where(other => other.Vm.Ended.IsCompleted)
            .OrderByDescending(other => other.Id).Skip(MostEnded))
        {
            old.Forget();
        }
    }

    /// <summary>A VM. Disposing says that it is dead.</summary>
    internal sealed class Entry(
        VmRegistry registry, long id, string template, TemplateMachine machine, MachineVm vm,
        TemplateHost.Place? place, long? parent) : IDisposable
    {
        private int _isDead;

        public long Id => id;

        public string Template => template;

        public TemplateMachine Machine => machine;

        public MachineVm Vm => vm;

        public bool IsKept => place is not null;

        public VmState State => new(
            id, template, IsKept ? "kept" : "job",
            vm.Ended.IsCompleted ? "ended" : vm.Frozen.IsCompletedSuccessfully ? "frozen" : "running",
            vm.Ended.IsCompletedSuccessfully ? vm.Ended.Result : null, parent);

        public void Die()
        {
            if (Interlocked.Exchange(ref _isDead, 1) == 0)
            {
                registry.Died();
            }
        }

        public void Forget() => registry.Remove(id);

        public void Dispose()
        {
            Die();
            Forget();
        }
    }
}
