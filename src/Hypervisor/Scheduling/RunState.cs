namespace Quietus.Hypervisor.Scheduling;

/// <summary>What a vCPU is to the scheduler.</summary>
public enum RunState : byte
{
    /// <summary>It waits for an event, or is off: on no queue.</summary>
    Blocked,

    /// <summary>It could run and waits for a core: on one queue of one core.</summary>
    Runnable,

    /// <summary>It is the current one of one core.</summary>
    Running,

    /// <summary>It has been removed: no queue knows it, and nothing wakes it, until it is added again.</summary>
    Ended,
}
