using System;
using System.Collections.Generic;
using System.Globalization;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Monitoring;

namespace Quietus.Cli.Templates;

/// <summary>What a machine's VMs and its memory are at one moment, as its monitor tells.</summary>
/// <param name="Vms">The monitor's <c>list</c>.</param>
/// <param name="Template">The number of the template among them.</param>
/// <param name="Chunks">How many chunks of memory there are.</param>
/// <param name="Runs">The monitor's <c>chunks</c>, from the first chunk on.</param>
internal sealed record MachineView(
    IReadOnlyList<KeyValueLine> Vms, long Template, long Chunks, IReadOnlyList<KeyValueLine> Runs)
{
    public const long ChunkBytes = 2 << 20;

    /// <summary>Orders of a map at most: a hypervisor that never comes to the end is not followed.</summary>
    private const int MostOrders = 64;

    /// <summary>Asks a monitor.</summary>
    public static async Task<MachineView> AskAsync(
        MonitorClient monitor, long template, TimeSpan limit, CancellationToken cancellation)
    {
        MonitorReply list = await monitor.RequestAsync("list", limit, cancellation).ConfigureAwait(false);
        var runs = new List<KeyValueLine>();
        long next = 0;
        long chunks = 1;
        for (int order = 0; order < MostOrders && next < chunks; order++)
        {
            MonitorReply map = await monitor.RequestAsync(
                string.Create(CultureInfo.InvariantCulture, $"chunks from={next}"), limit, cancellation)
                .ConfigureAwait(false);
            runs.AddRange(map.Items);
            (next, chunks) = (map.Final.Number("next"), map.Final.Number("chunks"));
        }

        return new MachineView(list.Items, template, chunks, runs);
    }
}
