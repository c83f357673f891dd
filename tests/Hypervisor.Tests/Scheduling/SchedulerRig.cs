using System;
using System.Runtime.InteropServices;
using Quietus.Hypervisor.Scheduling;

namespace Quietus.Hypervisor.Tests.Scheduling;

/// <summary>A scheduler with its queues and vCPUs in memory that stays where it is.</summary>
/// <remarks>Invariant of the pointers: the memory has room for as many as it was made for, until Dispose.</remarks>
internal sealed unsafe class SchedulerRig : IDisposable
{
    public const ulong TicksPerWeight = 10;

    private readonly RunQueue* _queues;
    private readonly SchedulerEntry* _entries;

    public SchedulerRig(int cores, int count)
    {
        Cores = cores;
        Count = count;
        _queues = (RunQueue*)NativeMemory.AllocZeroed((nuint)cores, (nuint)sizeof(RunQueue));
        _entries = (SchedulerEntry*)NativeMemory.AllocZeroed((nuint)count, (nuint)sizeof(SchedulerEntry));
        Scheduler.Initialize(_queues, cores, TicksPerWeight);
        for (int core = 0; core < cores; core++)
        {
            Scheduler.AddCore(core);
        }
    }

    public int Cores { get; }

    public int Count { get; }

    public Scheduler Scheduler;

    public RunQueue* Queue(int core) => _queues + core;

    public SchedulerEntry* Entry(int index) => _entries + index;

    public int IndexOf(SchedulerEntry* entry) => (int)(entry - _entries);

    public void Add(int index, uint weight = SchedulerEntry.UsualWeight, ulong cores = Scheduler.AllCores) =>
        Scheduler.Add(Entry(index), null, weight, cores, 0);

    public void Dispose()
    {
        NativeMemory.Free(_queues);
        NativeMemory.Free(_entries);
    }
}
