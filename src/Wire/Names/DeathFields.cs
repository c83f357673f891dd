using System;

namespace Quietus.Wire;

/// <summary>
/// The names of a death's figures: as the monitor and the KVM probe send them, and as the command line reads them.
/// docs/protocol.md says what each one counts. What is called ticks where a machine does not count instructions is
/// called instructions where it does.
/// </summary>
public static class DeathFields
{
    public static ReadOnlySpan<byte> Way => "way"u8;

    public static ReadOnlySpan<byte> Policy => "policy"u8;

    public static ReadOnlySpan<byte> MappedPages4K => "mapped_pages_4k"u8;

    public static ReadOnlySpan<byte> MappedBlocks2M => "mapped_blocks_2m"u8;

    public static ReadOnlySpan<byte> Instructions => "instructions"u8;

    public static ReadOnlySpan<byte> StopInstructions => "stop_instructions"u8;

    public static ReadOnlySpan<byte> Ticks => "ticks"u8;

    public static ReadOnlySpan<byte> StopTicks => "stop_ticks"u8;

    public static ReadOnlySpan<byte> TlbiIpa => "tlbi_ipa"u8;

    public static ReadOnlySpan<byte> TlbiRange => "tlbi_range"u8;

    public static ReadOnlySpan<byte> TlbiVmid => "tlbi_vmid"u8;

    public static ReadOnlySpan<byte> TlbiVmalle1 => "tlbi_vmalle1"u8;

    public static ReadOnlySpan<byte> DcLines => "dc_lines"u8;

    public static ReadOnlySpan<byte> Dsb => "dsb"u8;

    public static ReadOnlySpan<byte> VirtualNanoseconds => "virtual_ns"u8;

    public static ReadOnlySpan<byte> FreedBytes => "freed_bytes"u8;

    public static ReadOnlySpan<byte> LeakedFrames => "leaked_frames"u8;

    public static ReadOnlySpan<byte> FirstEntryNanoseconds => "first_entry_virtual_ns"u8;

    public static ReadOnlySpan<byte> FillNanoseconds => "fill_virtual_ns"u8;
}
