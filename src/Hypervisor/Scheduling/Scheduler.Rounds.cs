using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Scheduling;

// What a core runs next: the rest of its round, what waits elsewhere, or its next round.
// Invariant of the pointers: as in Scheduler.cs.
public unsafe partial struct Scheduler
{
    /// <summary>The next vCPU of a core that has none for this round, still on its list.</summary>
    private SchedulerEntry* ChooseAnother(RunQueue* queue, int core)
    {
        SchedulerEntry* next = null;
        bool isThereMore = _movable != queue->Movable;
        if (isThereMore && (queue->Round >= _highest || RunQueue.Expired(queue)->IsEmpty))
        {
            // The round is over here. A core that is ahead, or has nothing for the next one, looks where others are
            // behind.
            next = Steal(queue, core, _highest);
        }

        while (next == null && !RunQueue.Expired(queue)->IsEmpty)
        {
            BeginRound(queue);
            next = FirstOfRound(queue);
        }

        return next != null || !isThereMore ? next : Steal(queue, core, ulong.MaxValue);
    }

    /// <summary>The next one of this round.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly SchedulerEntry* FirstOfRound(RunQueue* queue)
    {
        SchedulerEntry* woken = queue->Woken.First;
        if (woken != null)
        {
            return woken;
        }

        SchedulerEntry* first = RunQueue.Active(queue)->First;
        return first == null || first->Left > 0 ? first : FirstWithoutDebt(queue);
    }

    /// <summary>One that comes up with a debt sits the round out.</summary>
    private readonly SchedulerEntry* FirstWithoutDebt(RunQueue* queue)
    {
        RunList* active = RunQueue.Active(queue);
        while (!active->IsEmpty && active->First->Left <= 0)
        {
            SchedulerEntry* entry = active->First;
            RunList.Unlink(entry);
            RunList.Append(ListAfter(queue, entry), entry);
        }

        return active->First;
    }

    /// <summary>
    /// Begins the next round; or the one before the highest, where that is further: older rounds are not made up for.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void BeginRound(RunQueue* queue)
    {
        queue->Round++;
        if (queue->Round + 1 < _highest)
        {
            queue->Round = _highest - 1;
        }

        _highest = queue->Round > _highest ? queue->Round : _highest;
        queue->IsOdd = !queue->IsOdd;
    }

    /// <summary>
    /// A vCPU that waits on another core in this round or an earlier one, and may come here; null for none.
    /// </summary>
    private SchedulerEntry* Steal(RunQueue* queue, int core, ulong round)
    {
        SchedulerEntry* found = null;
        for (int i = 1; i < _count && found == null; i++)
        {
            RunQueue* other = _queues + ((core + i) % _count);
            if (other->Movable != 0)
            {
                found = FindMovable(&other->Woken, core, round);
                found = found != null ? found : FindMovable(RunQueue.Active(other), core, round);
                found = found != null ? found : FindMovable(RunQueue.Expired(other), core, round);
            }
        }

        if (found == null)
        {
            return null;
        }

        queue->Stolen++;
        queue->Round = found->Round > queue->Round ? found->Round : queue->Round;
        _highest = queue->Round > _highest ? queue->Round : _highest;
        if (found->Left <= 0)
        {
            found->Left = Budget(found); // this core would have nothing to do: the debt hurts none
        }

        return found;
    }

    /// <summary>
    /// The first one of a list that may come. One with a debt comes only where there is nothing else.
    /// </summary>
    private static SchedulerEntry* FindMovable(RunList* list, int core, ulong round)
    {
        SchedulerEntry* entry = list->First;
        while (entry != null && (!entry->MayUse(core) || entry->Round > round
            || (entry->Left <= 0 && round != ulong.MaxValue)))
        {
            entry = entry->Next;
        }

        return entry;
    }
}
