using System;

namespace Quietus.Probe.Linux;

/// <summary>In what sizes the host backs a VM's memory.</summary>
internal enum PageKind : byte
{
    Small,
    Transparent,
    Huge2M,
    Huge1G,
}

/// <summary>The kinds by the names that people give them.</summary>
internal static class PageKinds
{
    internal const int Count = 4;

    internal static ReadOnlySpan<byte> NameOf(PageKind kind) => kind switch
    {
        PageKind.Small => "4k"u8,
        PageKind.Transparent => "thp"u8,
        PageKind.Huge2M => "hugetlb-2m"u8,
        _ => "hugetlb-1g"u8,
    };

    /// <summary>The bytes of a page out of hugetlbfs; 0 for the others.</summary>
    internal static ulong PoolPage(PageKind kind) => kind switch
    {
        PageKind.Huge2M => 1UL << 21,
        PageKind.Huge1G => 1UL << 30,
        _ => 0,
    };
}
