using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Wire;

namespace Quietus.Cli.Churn;

/// <summary>
/// Lives that are births: children of templates that booted once, one template for each size of pages. A filler's child
/// finds all memory as its template left it, changes half of its pages, and finds them so. A Linux child runs a command
/// that draws random numbers and writes.
/// </summary>
internal sealed class TemplateChurn
{
    private const ulong PassedReport = 2;
    private const string Prompt = "# ";

    /// <summary>What the command leaves in a file; a child that finds it has seen a sibling's memory.</summary>
    private const string Mark = "s42n";

    private const string LastWord = "over-42";

    private const string Work =
        "cat /tmp/own; cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | md5sum; echo s$((6*7))n >/tmp/own; "
            + "echo over-$((6*7))";

    private readonly ChurnPlan _plan;
    private readonly GuestPayload _guest;
    private readonly BirthsBoot _boot;
    private readonly List<long> _templates = [];
    private readonly HashSet<string> _random = [];

    private TemplateChurn(ChurnPlan plan, GuestPayload guest, MonitorClient monitor)
    {
        _plan = plan;
        _guest = guest;

        // A life is short, and ends as it should before an interruption is heeded.
        _boot = new BirthsBoot(monitor, plan.Limit, CancellationToken.None);
    }

    /// <summary>Random numbers that two children had in common; null where they draw none.</summary>
    public long? RepeatedRandom { get; private set; }

    public long LeakedFrames { get; private set; }

    private bool IsFiller => _guest.Name == GuestPayload.Filler;

    /// <summary>Memory of a template.</summary>
    public static long MemoryOf(GuestPayload guest) =>
        (guest.Name == GuestPayload.Filler ? 64 : 128) * ByteSize.Megabyte;

    /// <summary>RAM of a machine with so many templates and one child.</summary>
    public static long MachineMemory(GuestPayload guest, int templates) =>
        Bench.BenchPlan.MachineMemory(guest, (templates + 1) * MemoryOf(guest));

    /// <summary>Makes the templates.</summary>
    public static async Task<TemplateChurn> BeginAsync(ChurnPlan plan, GuestPayload guest, MonitorClient monitor)
    {
        var churn = new TemplateChurn(plan, guest, monitor);
        foreach (string pages in plan.Pages)
        {
            churn._templates.Add(await churn.BootAsync(pages).ConfigureAwait(false));
        }

        churn.RepeatedRandom = churn.IsFiller ? null : 0;
        return churn;
    }

    /// <summary>One child, from its birth to its death, and the scrubbing of what it leaves.</summary>
    public async Task<ChurnLife> LiveAsync(int number)
    {
        string lifetime = Lifetime.OfChild(_plan.Lifetime, number);
        int which = number % _templates.Count;
        bool works = lifetime != Lifetime.Created;
        (long child, int slot) = await _boot.ForkAsync(_templates[which]).ConfigureAwait(false);
        if (works)
        {
            if (!IsFiller)
            {
                // Not with the fork: to take so long a line would be most of the birth.
                await SendAsync(child, Work).ConfigureAwait(false);
            }

            await WorkAsync(child, slot, number).ConfigureAwait(false);
        }

        // Before the reset, which is a birth as well.
        long birth = (await _boot.OrderAsync("measure", child).ConfigureAwait(false))
            .Number(DeathFields.FirstEntryNanoseconds);
        long? reset = null;
        if (lifetime == Lifetime.Reset)
        {
            reset = (await _boot.OrderAsync("reset", child).ConfigureAwait(false)).Number(DeathFields.Instructions);
            if (IsFiller)
            {
                await WorkAsync(child, slot, number).ConfigureAwait(false);
            }
        }

        KeyValueLine killed = await _boot.OrderAsync(DeathWay.Kill.Name(), child).ConfigureAwait(false);
        KeyValueLine scrubbed = await _boot.AskAsync("scrub").ConfigureAwait(false);
        LeakedFrames += killed.Number(DeathFields.LeakedFrames);
        return new ChurnLife
        {
            MemoryBytes = MemoryOf(_guest),
            Pages = _plan.Pages[which],
            Create = 0,
            FirstInstruction = birth,
            Fill = null,
            Reset = reset,
            Kill = killed.Number(DeathFields.Instructions),
            MemoryBack = killed.Number(DeathFields.Instructions) - killed.Number(DeathFields.StopInstructions),
            ScrubZero = scrubbed.Number(MeasureFields.ScrubZeroInstructions),
            ScrubClean = scrubbed.Number(MeasureFields.ScrubCleanInstructions),
            ScrubbedChunks = scrubbed.Number(MeasureFields.ScrubbedChunks),
        };
    }

    /// <summary>Kills the templates: nothing of all this is left then.</summary>
    public async Task EndAsync()
    {
        foreach (long template in _templates)
        {
            LeakedFrames += (await _boot.OrderAsync(DeathWay.Kill.Name(), template).ConfigureAwait(false))
                .Number(DeathFields.LeakedFrames);
        }

        await _boot.AskAsync("scrub").ConfigureAwait(false);
    }

    private async Task<long> BootAsync(string pages)
    {
        long memory = MemoryOf(_guest);
        string append = IsFiller
            ? string.Create(CultureInfo.InvariantCulture, $"fill={memory / 2} touch=page freeze=yes shared=write")
            : "console=ttyAMA0 quiet";
        var order = new GuestOrder(
            _guest.Name, memory, Cpus: 1, pages, MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate), append)
        {
            // Linux' children are to draw numbers of their own.
            IsRepeatable = IsFiller,
        };
        (long vm, int slot) = await _boot.StartAsync(order.Command).ConfigureAwait(false);
        if (!IsFiller)
        {
            await _boot.PrintedAsync(vm, slot, "quietus-guest: shell ready", Prompt).ConfigureAwait(false);
            await SendAsync(vm, "agent freeze").ConfigureAwait(false);
        }

        await _boot.FrozenAsync(vm).ConfigureAwait(false);
        return vm;
    }

    private Task<KeyValueLine> SendAsync(long vm, string line) => _boot.AskAsync(
        string.Create(CultureInfo.InvariantCulture, $"send vm={vm} text=\"{line}\""));

    private async Task WorkAsync(long child, int slot, int number)
    {
        if (IsFiller)
        {
            await _boot.ReportAsync(child, PassedReport).ConfigureAwait(false);
            await _boot.SilentAsync(child, slot, "done").ConfigureAwait(false);
            return;
        }

        await _boot.PrintedAsync(child, slot, LastWord, Prompt).ConfigureAwait(false);
        string[] lines = [.. _boot.Console(slot).Split('\n').Select(line => line.Trim())];
        string[] drawn = [.. lines.Where(line => line.Length is 36 or 35 && IsRandom(line))];
        if (lines.Contains(Mark))
        {
            throw new CliException(
                ExitCode.Failed,
                string.Create(CultureInfo.InvariantCulture, $"child {number + 1} has read what another one wrote"),
                "please report it: one VM has seen another's bytes");
        }

        if (drawn.Length != 2)
        {
            throw new CliException(
                ExitCode.Failed,
                string.Create(CultureInfo.InvariantCulture, $"child {number + 1} has not drawn its random numbers"),
                "its console is above", _boot.Console(slot));
        }

        RepeatedRandom += drawn.Count(random => !_random.Add(random));
    }

    /// <summary>A UUID, or an MD5 sum and the name of standard input.</summary>
    private static bool IsRandom(string line) =>
        Guid.TryParseExact(line, "D", out _) || (line.EndsWith("  -", StringComparison.Ordinal)
            && Guid.TryParseExact(line[..^3], "N", out _));
}
