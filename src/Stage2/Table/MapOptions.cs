using System;

namespace Quietus.Stage2;

/// <summary>How a range is mapped.</summary>
[Flags]
public enum MapOptions : byte
{
    /// <summary>By the largest blocks that fit.</summary>
    None = 0,

    /// <summary>By pages only.</summary>
    PagesOnly = 1,

    /// <summary>With the contiguous bit on each aligned run of leaves that lies wholly in the range.</summary>
    Contiguous = 2,
}
