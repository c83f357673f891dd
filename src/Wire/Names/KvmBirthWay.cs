using System;

namespace Quietus.Wire;

/// <summary>What the KVM probe measures of a VM that is born from a snapshot (docs/against-kvm.md).</summary>
public enum KvmBirthWay : byte
{
    /// <summary>From mapping the snapshot to the child's first instruction: a vCPU, and no device.</summary>
    Birth,

    /// <summary>The same with an interrupt controller and every register restored.</summary>
    BirthWhole,

    /// <summary>The child reads a word of each page, for the first time.</summary>
    Read,

    /// <summary>The same once more: what the guest itself takes, and no fault.</summary>
    ReadAgain,

    /// <summary>The child writes a word of each of some pages that it never touched.</summary>
    Write,

    /// <summary>The same of pages that it has read before.</summary>
    WriteAfterRead,

    /// <summary>The same once more: what the guest itself takes.</summary>
    WriteAgain,

    /// <summary>The child's descriptors are closed and its memory unmapped.</summary>
    End,

    /// <summary>As <see cref="Birth"/>, with a process that gives pages as they are asked for (userfaultfd).</summary>
    ServedBirth,

    /// <summary>As <see cref="Read"/>, of such a child.</summary>
    ServedRead,

    /// <summary>As <see cref="Write"/>, of such a child.</summary>
    ServedWrite,

    /// <summary>As <see cref="WriteAfterRead"/>, of such a child.</summary>
    ServedWriteAfterRead,

    /// <summary>As <see cref="End"/>, of such a child.</summary>
    ServedEnd,
}

/// <summary>The ways by the names that the probe has.</summary>
public static class KvmBirthWays
{
    public static ReadOnlySpan<byte> NameOf(KvmBirthWay way) => way switch
    {
        KvmBirthWay.Birth => "birth"u8,
        KvmBirthWay.BirthWhole => "birth-whole"u8,
        KvmBirthWay.Read => "read"u8,
        KvmBirthWay.ReadAgain => "read-again"u8,
        KvmBirthWay.Write => "write"u8,
        KvmBirthWay.WriteAfterRead => "write-after-read"u8,
        KvmBirthWay.WriteAgain => "write-again"u8,
        KvmBirthWay.End => "end"u8,
        KvmBirthWay.ServedBirth => "birth-uffd"u8,
        KvmBirthWay.ServedRead => "read-uffd"u8,
        KvmBirthWay.ServedWrite => "write-uffd"u8,
        KvmBirthWay.ServedWriteAfterRead => "write-after-read-uffd"u8,
        _ => "end-uffd"u8,
    };
}
