using System;
using System.Collections.Generic;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Births;

/// <summary>Templates of each guest, size and page size, and so many children of each, one after the other.</summary>
internal sealed record BirthsPlan
{
    public required int Children { get; init; }

    public required CpuModel Cpu { get; init; }

    public required int Cpus { get; init; }

    public required IReadOnlyList<GuestPayload> Guests { get; init; }

    public required IReadOnlyList<long> MemoryBytes { get; init; }

    public required IReadOnlyList<string> Pages { get; init; }

    /// <summary>KVM is measured beside Quietus.</summary>
    public bool IsAgainstKvm { get; init; }

    /// <summary>
    /// RAM of the machine for a template of this size. KVM's Linux has the snapshot and, by userfaultfd, a copy of it.
    /// </summary>
    public long MachineBytes(long memory) => (IsAgainstKvm ? 2 * memory : memory) + BirthsRunner.BesideMemory;

    public required TimeSpan Limit { get; init; }

    /// <summary>The command that repeats it.</summary>
    public required string Command { get; init; }
}

/// <summary>
/// What a template and its children cost, in instructions; null where the guest cannot tell. Of several children's
/// figures it is the median.
/// </summary>
internal sealed record BirthsRow
{
    public required string Template { get; init; }

    public required long MemoryBytes { get; init; }

    public required string Pages { get; init; }

    public required int Cpus { get; init; }

    /// <summary>4K pages that the template has mapped, a block as 512.</summary>
    public required long MappedPages { get; init; }

    public required long Freeze { get; init; }

    public required long Birth { get; init; }

    public required long Reset { get; init; }

    public required long Kill { get; init; }

    public required long? ReadFaults { get; init; }

    public required double? WriteFault { get; init; }

    public required double? WriteFaultFirst { get; init; }

    public required double? WriteFaultGigabyte { get; init; }

    public required long OwnedAfterBirth { get; init; }

    public required long? OwnedAfterCommand { get; init; }

    public required long? Ready { get; init; }

    public required long? Boot { get; init; }

    public double FreezePerPage => (double)Freeze / MappedPages;
}

/// <summary>All rows, also of a run that was cut short.</summary>
internal sealed record BirthsResult
{
    public required BirthsPlan Plan { get; init; }

    public required IReadOnlyList<BirthsRow> Rows { get; init; }

    public required bool IsInterrupted { get; init; }

    /// <summary>What KVM takes for the same; null where it was not asked for.</summary>
    public KvmBirthsResult? Kvm { get; init; }

    /// <summary>QEMU's command line of the first boot.</summary>
    public required string QemuCommand { get; init; }

    public required string QemuVersion { get; init; }

    public required string ImageSha256 { get; init; }

    public required long WallNanoseconds { get; init; }
}
