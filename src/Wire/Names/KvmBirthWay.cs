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
        _ => "end"u8,
    };
}
