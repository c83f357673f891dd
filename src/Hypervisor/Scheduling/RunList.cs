using System.Runtime.CompilerServices;

namespace Quietus.Hypervisor.Scheduling;

/// <summary>A list of runnable vCPUs in the order of their turns. Every change takes constant time.</summary>
/// <remarks>
/// Invariant of the pointers: the list lies in a <see cref="RunQueue"/>, which is never moved; see
/// <see cref="SchedulerEntry"/>.
/// </remarks>
internal unsafe struct RunList
{
    internal SchedulerEntry* First;
    internal SchedulerEntry* Last;

    internal readonly bool IsEmpty => First == null;

    internal static void Append(RunList* list, SchedulerEntry* entry)
    {
        entry->List = list;
        entry->Next = null;
        entry->Previous = list->Last;
        if (list->Last != null)
        {
            list->Last->Next = entry;
        }
        else
        {
            list->First = entry;
        }

        list->Last = entry;
    }

    internal static void Prepend(RunList* list, SchedulerEntry* entry)
    {
        entry->List = list;
        entry->Previous = null;
        entry->Next = list->First;
        if (list->First != null)
        {
            list->First->Previous = entry;
        }
        else
        {
            list->Last = entry;
        }

        list->First = entry;
    }

    /// <summary>Takes an entry off the list that it hangs on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Unlink(SchedulerEntry* entry)
    {
        RunList* list = entry->List;
        if (entry->Previous != null)
        {
            entry->Previous->Next = entry->Next;
        }
        else
        {
            list->First = entry->Next;
        }

        if (entry->Next != null)
        {
            entry->Next->Previous = entry->Previous;
        }
        else
        {
            list->Last = entry->Previous;
        }

        entry->Next = null;
        entry->Previous = null;
        entry->List = null;
    }
}
