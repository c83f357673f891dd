using System;

namespace Quietus.Hypervisor.Devices.Virtio;

/// <summary>
/// What became of a step on a virtqueue. All after <see cref="Empty"/> break the device until its driver resets it: a
/// queue that lies once is believed no more.
/// </summary>
public enum VirtqueueResult
{
    /// <summary>Done.</summary>
    Ok,

    /// <summary>The driver has offered nothing more.</summary>
    Empty,

    /// <summary>The queue has no size, or one that is no power of two or too large.</summary>
    BadSize,

    /// <summary>A ring or the descriptor table lies outside the guest's memory, or is not aligned.</summary>
    BadPlace,

    /// <summary>The available index is further ahead than the queue has entries.</summary>
    BadAvailableIndex,

    /// <summary>A descriptor's number is outside its table.</summary>
    BadDescriptor,

    /// <summary>A chain has more descriptors than its table, so it is a loop, or more than the queue's size.</summary>
    TooLong,

    /// <summary>A buffer lies outside the guest's memory, or has no bytes.</summary>
    BadBuffer,

    /// <summary>A buffer that the device reads comes after one that it writes.</summary>
    BadOrder,

    /// <summary>
    /// An indirect table that was not agreed on, inside another, with a successor, or of a length that is none.
    /// </summary>
    BadIndirectTable,

    /// <summary>A ring could not be read or written: its memory is gone.</summary>
    NoMemory,
}

/// <summary>What people are told about a virtqueue that broke.</summary>
public static class VirtqueueResultNames
{
    /// <summary>What the driver did wrong.</summary>
    public static ReadOnlySpan<byte> Explain(this VirtqueueResult result) => result switch
    {
        VirtqueueResult.BadSize => "the queue's size is no power of two from 1 to 64"u8,
        VirtqueueResult.BadPlace => "a ring is outside memory, or not aligned"u8,
        VirtqueueResult.BadAvailableIndex => "the available index is more than a queue ahead"u8,
        VirtqueueResult.BadDescriptor => "a descriptor's number is outside the table"u8,
        VirtqueueResult.TooLong => "a chain is a loop, or longer than the queue"u8,
        VirtqueueResult.BadBuffer => "a buffer is outside memory, or empty"u8,
        VirtqueueResult.BadOrder => "a buffer to read follows one to write"u8,
        VirtqueueResult.BadIndirectTable => "an indirect table is wrong"u8,
        VirtqueueResult.NoMemory => "a ring's memory is gone"u8,
        _ => "nothing is wrong"u8,
    };
}
