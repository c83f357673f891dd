using System.Collections.Generic;
using System.Numerics;
using Quietus.Hypervisor.Scheduling;
using Shouldly;

namespace Quietus.Hypervisor.Tests.Scheduling;

/// <summary>What must hold between any two calls of the scheduler.</summary>
/// <remarks>Invariant of the pointers: they are a <see cref="SchedulerRig"/>'s, which outlives the audit.</remarks>
internal static unsafe class SchedulerAudit
{
    /// <summary>
    /// Each vCPU is in exactly one place, the one that its state says, and the counts are those of the lists. While a
    /// core is idle, no more vCPUs wait that it could run than others have been kicked to choose one.
    /// </summary>
    public static void Check(SchedulerRig rig, ulong kicked = 0)
    {
        var places = new Dictionary<nint, string>();
        int waiting = 0;
        ulong idle = rig.Scheduler.IdleCores;
        ulong choosing = kicked;
        for (int core = 0; core < rig.Cores; core++)
        {
            RunQueue* queue = rig.Queue(core);
            if (queue->Current != null)
            {
                queue->Current->State.ShouldBe(RunState.Running);
                queue->Current->Core.ShouldBe(core);
                queue->Current->MayUse(core).ShouldBeTrue();
                places.Add((nint)queue->Current, $"current of {core}");
                (idle & (1UL << core)).ShouldBe(0UL);
                choosing &= ~(1UL << core);
            }

            int count = 0;
            int movable = 0;
            Walk(&queue->Woken, core, places, ref count, ref movable);
            Walk(&queue->Even, core, places, ref count, ref movable);
            Walk(&queue->Odd, core, places, ref count, ref movable);
            queue->Waiting.ShouldBe(count);
            queue->Movable.ShouldBe(movable);
            waiting += count;
            CheckHeap(queue->Expiries.First, core);
        }

        rig.Scheduler.Waiting.ShouldBe(waiting);
        int missed = 0;
        for (int i = 0; i < rig.Count; i++)
        {
            SchedulerEntry* entry = rig.Entry(i);
            places.ContainsKey((nint)entry).ShouldBe(entry->State is RunState.Runnable or RunState.Running);
            if (entry->State != RunState.Blocked)
            {
                entry->Expiry.IsLinked.ShouldBeFalse();
            }

            missed += entry->State == RunState.Runnable && (entry->Cores & idle & ~kicked) != 0 ? 1 : 0;
        }

        missed.ShouldBeLessThanOrEqualTo(BitOperations.PopCount(choosing));
    }

    private static void Walk(
        RunList* list,
        int core,
        Dictionary<nint, string> places,
        ref int count,
        ref int movable)
    {
        SchedulerEntry* previous = null;
        for (SchedulerEntry* entry = list->First; entry != null; entry = entry->Next)
        {
            (entry->List == list).ShouldBeTrue();
            (entry->Previous == previous).ShouldBeTrue();
            entry->State.ShouldBe(RunState.Runnable);
            entry->Core.ShouldBe(core);
            places.Add((nint)entry, $"list of {core}");
            count++;
            movable += entry->CanMove ? 1 : 0;
            previous = entry;
        }

        (list->Last == previous).ShouldBeTrue();
    }

    /// <summary>A leftist heap, in order, whose nodes belong to blocked vCPUs of the core.</summary>
    public static int CheckHeap(ExpiryNode* node, int core)
    {
        if (node == null)
        {
            return 0;
        }

        int left = CheckHeap(node->Left, core);
        int right = CheckHeap(node->Right, core);
        left.ShouldBeGreaterThanOrEqualTo(right);
        node->Rank.ShouldBe(right + 1);
        foreach (nint child in (nint[])[(nint)node->Left, (nint)node->Right])
        {
            if (child != 0)
            {
                (((ExpiryNode*)child)->Parent == node).ShouldBeTrue();
                ((ExpiryNode*)child)->When.ShouldBeGreaterThanOrEqualTo(node->When);
            }
        }

        if (node->Entry != null)
        {
            node->Entry->State.ShouldBe(RunState.Blocked);
            node->Entry->Core.ShouldBe(core);
        }

        return node->Rank;
    }
}
