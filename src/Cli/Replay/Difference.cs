using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Quietus.Traces;

namespace Quietus.Cli.Replay;

/// <summary>
/// Something in which the traced kernel and the replayed policies differ by design. docs/replay.md has a paragraph of
/// each name.
/// </summary>
/// <param name="Name">Its name.</param>
/// <param name="Explanation">What is different, and why, for people.</param>
internal sealed record Difference(string Name, string Explanation)
{
    /// <summary>Those that show in this trace and these rows.</summary>
    public static IReadOnlyList<Difference> Find(HostTrace trace, IReadOnlyList<ReplayRow> rows)
    {
        List<Difference> found = [];
        bool tracedDies = trace.Operations[^1].Kind == TraceOperationKind.Release && !trace.Counts.IsX86;
        bool tracedDeathIsSilent = trace.Death.LeafTlbi + trace.Death.TableTlbi + trace.Death.Cleanings == 0;
        string[] walkers = Names(rows.Where(row => row.Death.Bill.Counts.TlbiIpa > 0));
        if (tracedDies && tracedDeathIsSilent && walkers.Length > 0)
        {
            found.Add(new Difference(
                "lazy-free-at-death",
                $"Under {Join(walkers)} the death walks what is still mapped and maintains each leaf, as Linux 5.5 "
                    + "did. The traced kernel (5.10 and later) frees the tables without any maintenance: patch 5 in "
                    + "spirit."));
        }

        string[] invalidators = Names(rows.Where(row => row.Death.Bill.Counts.TlbiVmid > 0));
        if (tracedDies && trace.Death.VmidTlbi == 0 && invalidators.Length > 0)
        {
            found.Add(new Difference(
                "vmid-at-death",
                $"Under {Join(invalidators)} the death ends in one invalidation of the VMID. The traced kernel leaves "
                    + "the number unused until the next rollover, which invalidates everything, and issues none."));
        }

        if (trace.Other.Cleanings > 0)
        {
            found.Add(new Difference(
                "guest-cache-switch",
                string.Create(CultureInfo.InvariantCulture, $"The traced kernel cleaned {trace.Other.Cleanings:N0} ")
                    + "more leaves that were mapped already, when the guest switched its caches on. It is no operation "
                    + "on Stage-2, and is not played again."));
        }

        if (trace.Operations.Any(operation => operation.Kind == TraceOperationKind.Relax) && !trace.Counts.IsX86
            && rows.Any(row => row.Mapping.Bill.Counts.TlbiIpa > trace.Mapping.LeafTlbi))
        {
            found.Add(new Difference(
                "relax-invalidates-locally",
                "More permissions for a leaf: the traced kernel invalidates on the faulting PE alone (6.6 and later, a "
                    + "function that is not among the probes); the engine, and Linux 5.5, broadcast."));
        }

        string[] batchers = Names(rows.Where(row => row.Unmapping.Leaves > 0 && !row.Unmapping.IsEager));
        if (batchers.Length > 0)
        {
            found.Add(new Difference(
                "batched-invalidation",
                $"Under {Join(batchers)} up to 512 leaves are unlinked, invalidated at once, and only then freed."));
        }

        string[] elides = Names(rows.Where(row => row.Unmapping.Leaves > 0 && row.Unmapping.Bill.Counts.DcLines == 0
            && !row.Machine.HasForcedWriteBack));
        if (trace.Unmapping.Cleanings > 0 && elides.Length > 0)
        {
            found.Add(new Difference(
                "cleaning-elided",
                $"Under {Join(elides)} nothing is cleaned when the range is unmapped: by the event (patch 7), or by "
                    + "the pages' fate (docs/elision.md). --cause says what the range was taken for."));
        }

        if (trace.Mapping.Cleanings > 0 && rows.Any(row => row.Machine.HasForcedWriteBack))
        {
            found.Add(new Difference(
                "forced-write-back",
                "The traced host has no FEAT_S2FWB and cleans; a machine that has it need not, neither at a map nor "
                    + "at an unmap."));
        }

        if (trace.Unmapping.RangeTlbi > 0 || trace.Unmapping.VmidTlbi > 0)
        {
            found.Add(new Difference(
                "range-invalidation",
                "The traced kernel invalidates by ranges, or by whole VMID (6.6 and later, with FEAT_S2FWB); Linux "
                    + "5.5, and with it before-series, leaf by leaf."));
        }

        return found;
    }

    private static string[] Names(IEnumerable<ReplayRow> rows) =>
        [.. rows.Select(row => row.Policy.Name).Distinct()];

    private static string Join(string[] names) => string.Join(", ", names);
}
