using System;

namespace Quietus.Probe.Runs;

/// <summary>What is measured of one life. Nanoseconds, but for the last two.</summary>
internal enum Figure : byte
{
    /// <summary>KVM_CREATE_VM.</summary>
    CreateVm,

    /// <summary>KVM_SET_USER_MEMORY_REGION.</summary>
    AddSlot,

    /// <summary>KVM_CREATE_VCPU, the VM's first.</summary>
    CreateVcpu,

    /// <summary>Mapping the run structure, and the vCPU's registers.</summary>
    Prepare,

    /// <summary>KVM_RUN until the guest's first instruction has come back.</summary>
    FirstInstruction,

    /// <summary>The guest's first touch of all of its memory; without a VM the process's.</summary>
    Touch,

    /// <summary>The same once more: no fault.</summary>
    TouchAgain,

    /// <summary>The first touch when the host has the pages, and only the VM's tables are empty (way slot).</summary>
    Retouch,

    /// <summary>The order itself, until its system calls have returned.</summary>
    Order,

    /// <summary>What is left of the VM, closed; 0 where the order did that.</summary>
    Close,

    /// <summary>What is left of the memory, unmapped; 0 where the order did that.</summary>
    Unmap,

    /// <summary>From the process's last system call to its parent's return from wait4.</summary>
    Exit,

    /// <summary>
    /// From the order to the process reaped: the sum of those above, or the parent's clock of a kill.
    /// </summary>
    Total,

    /// <summary>From the order until the kernel's free memory has grown by nine tenths of what was taken.</summary>
    Free,

    /// <summary>Instructions of the order, in kernel mode too, where a counter was to be had.</summary>
    Instructions,
}

/// <summary>The figures by their JSON keys.</summary>
internal static class Figures
{
    internal const int Count = 15;

    internal static ReadOnlySpan<byte> NameOf(Figure figure) => figure switch
    {
        Figure.CreateVm => "create_vm_ns"u8,
        Figure.AddSlot => "add_slot_ns"u8,
        Figure.CreateVcpu => "create_vcpu_ns"u8,
        Figure.Prepare => "prepare_vcpu_ns"u8,
        Figure.FirstInstruction => "first_instruction_ns"u8,
        Figure.Touch => "touch_ns"u8,
        Figure.TouchAgain => "touch_again_ns"u8,
        Figure.Retouch => "retouch_ns"u8,
        Figure.Order => "order_ns"u8,
        Figure.Close => "close_ns"u8,
        Figure.Unmap => "unmap_ns"u8,
        Figure.Exit => "exit_ns"u8,
        Figure.Total => "total_ns"u8,
        Figure.Free => "free_ns"u8,
        _ => "order_instructions"u8,
    };
}
