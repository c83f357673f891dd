using System;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Memory;

namespace Quietus.Cli.Replay;

/// <summary>
/// Why the host's notifier took a range, and what became of the pages. A trace does not say it: the kernel's event has
/// the range alone.
/// </summary>
/// <param name="Name">As the option says it.</param>
/// <param name="Event">What the notifier hands down.</param>
/// <param name="Fate">What becomes of the pages.</param>
internal sealed record UnmapCause(string Name, NotifierEvent Event, PageFate Fate)
{
    public static readonly UnmapCause[] All =
    [
        new("munmap", NotifierEvent.Unmap, PageFate.AnonymousLastMappingFreed),
        new("madvise", NotifierEvent.Clear, PageFate.AnonymousLastMappingFreed),
        new("mremap", NotifierEvent.Unmap, PageFate.KeptByRemap),
        new("mprotect", NotifierEvent.ProtectionVma, PageFate.StaysInPlace),
        new(PageFate.Unknown.Name(), NotifierEvent.Unmap, PageFate.Unknown),
    ];

    public static UnmapCause Parse(string text) =>
        Array.Find(All, cause => cause.Name == text)
        ?? throw CliException.Usage(
            $"unknown cause '{text}'", "--cause takes " + string.Join(", ", All.Select(cause => cause.Name)));
}
