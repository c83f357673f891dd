namespace Quietus.Traces;

/// <summary>
/// A Stage-2 descriptor of a 4 KB granule, as Linux 5.5 to 5.9 wrote it (Arm ARM, D8.3, VMSAv8-64 Stage-2):
/// <code>
///   63      54  53     47                        12      7    6    5       2   1  0
///   ──────┬────┬──────┬───────────────────────────┬─────┬────┬────┬─────────┬──────
///         │ XN │      │ output address            │     │ W  │ R  │ MemAttr │
///   ──────┴────┴──────┴───────────────────────────┴─────┴────┴────┴─────────┴──────
/// </code>
/// </summary>
internal static class TracedDescriptor
{
    private const ulong Output = 0x0000_ffff_ffff_f000;
    private const ulong ExecuteNever = 1UL << 54;
    private const ulong Write = 1 << 7;
    private const ulong Readable = 1 << 6;

    /// <summary>MemAttr[3:2]; 0 for each type of device memory.</summary>
    private const ulong Normal = 3 << 4;

    /// <summary>Where a leaf leads, and what it permits.</summary>
    public static (ulong Output, TraceProtection Protection) Read(ulong descriptor) => (
        descriptor & Output,
        ((descriptor & ExecuteNever) == 0 ? TraceProtection.Execute : 0)
            | ((descriptor & Write) != 0 ? TraceProtection.Write : 0)
            | ((descriptor & Readable) != 0 ? TraceProtection.Read : 0)
            | ((descriptor & Normal) == 0 ? TraceProtection.Device : 0));
}
