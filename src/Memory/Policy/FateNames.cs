using System;

namespace Quietus.Memory;

/// <summary>
/// The fates that an order to unmap can claim, by the names that people type and programs send. A VM's pages are the
/// pool's: no host is left that could go on using them, so they are free, or it is not known what reads them next.
/// </summary>
public static class FateNames
{
    public static ReadOnlySpan<byte> NameOf(PageFate fate) =>
        fate == PageFate.AnonymousLastMappingFreed ? "freed"u8 : "unknown"u8;

    /// <summary>The fate of a name; false where there is none.</summary>
    public static bool TryFind(ReadOnlySpan<byte> name, out PageFate fate)
    {
        fate = name.SequenceEqual(NameOf(PageFate.AnonymousLastMappingFreed))
            ? PageFate.AnonymousLastMappingFreed
            : PageFate.Unknown;
        return name.SequenceEqual(NameOf(fate));
    }
}
