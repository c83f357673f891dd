using System;

namespace Quietus.Wire;

/// <summary>The names of what the orders <c>measure</c> and <c>scrub</c> answer; ticks as in a death.</summary>
public static class MeasureFields
{
    public static ReadOnlySpan<byte> MapCalls => "map_calls"u8;

    public static ReadOnlySpan<byte> MapInstructions => "map_instructions"u8;

    public static ReadOnlySpan<byte> MapTicks => "map_ticks"u8;

    public static ReadOnlySpan<byte> ScrubbedChunks => "scrubbed_chunks"u8;

    public static ReadOnlySpan<byte> ScrubZeroInstructions => "scrub_zero_instructions"u8;

    public static ReadOnlySpan<byte> ScrubZeroTicks => "scrub_zero_ticks"u8;

    public static ReadOnlySpan<byte> ScrubCleanInstructions => "scrub_clean_instructions"u8;

    public static ReadOnlySpan<byte> ScrubCleanTicks => "scrub_clean_ticks"u8;

    public static ReadOnlySpan<byte> ScrubDcLines => "scrub_dc_lines"u8;
}
