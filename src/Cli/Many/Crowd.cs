using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Many;

/// <summary>
/// Many VMs of one template, alive at once: each answers with what no other knows, all die, and all memory is back.
/// </summary>
internal sealed class Crowd(ManyPlan plan, BirthsBoot boot, Action<string> progress)
{
    private const int KilledAlone = 5;
    private const double MostKillRatio = 1.05;

    private readonly Random _random = new(13);
    private readonly Family _family = new(plan, boot, progress);

    public int VmidBits { get; private set; }

    public long VmidRollovers { get; private set; }

    /// <summary>VMs that were alive at once, each of which gave its own answer.</summary>
    public int Answered { get; private set; }

    public async Task<IReadOnlyList<ManyFigure>> RunAsync()
    {
        VmidBits = (int)(await boot.AskAsync("machine").ConfigureAwait(false)).Number("vmid_bits");
        long used = (await boot.AskAsync("memory").ConfigureAwait(false)).Number("used_bytes");
        await _family.BootAsync().ConfigureAwait(false);
        double alone = await KillAloneAsync().ConfigureAwait(false);
        await _family.BearAsync().ConfigureAwait(false);
        await AnswerAsync().ConfigureAwait(false);
        Answered = _family.Members.Count;
        (double median, double most) = await OwnedAsync().ConfigureAwait(false);
        (double among, long lost) = await KillAllAsync().ConfigureAwait(false);
        FamilyMember template = _family.Template!;
        lost += (await boot.KillAsync(template.Vm, template.Slot).ConfigureAwait(false)).LeakedFrames;
        KeyValueLine memory = await boot.AskAsync("memory").ConfigureAwait(false);
        VmidRollovers = memory.Number("vmid_rollovers");
        lost += memory.Number("refused_frees") + memory.Number("misplaced_chunks")
            + Math.Abs(memory.Number("used_bytes") - used);
        return
        [
            new("owned_median_bytes", "what a VM owns after its answer, median: bytes", median, "N0"),
            new("owned_max_bytes", "… at most: bytes", most, "N0"),
            new("kill_alone_instructions", "a kill alone: instructions", alone, "N0"),
            new("kill_among_instructions", "a kill among them: instructions", among, "N0", alone * MostKillRatio),
            new("lost_frames", "frames lost when all are dead", lost, "N0", 0),
        ];
    }

    /// <summary>The median of some children's, each of them alone on the machine.</summary>
    private async Task<double> KillAloneAsync()
    {
        List<double> kills = [];
        for (int i = 0; i < KilledAlone; i++)
        {
            FamilyMember child = await _family.OneAsync().ConfigureAwait(false);
            kills.Add((await boot.KillAsync(child.Vm, child.Slot).ConfigureAwait(false)).Instructions);
        }

        return Percentiles.Of(kills).P50;
    }

    /// <summary>
    /// Asks every one for what it drew at its birth, and for a product that no other is asked for: all of them are
    /// alive, and have the same to do at the same time. A filler hears nothing: what it drew was its answer.
    /// </summary>
    private async Task AnswerAsync()
    {
        if (!_family.IsLinux)
        {
            return;
        }

        var answers = new Dictionary<FamilyMember, string>();
        foreach (FamilyMember member in _family.Members)
        {
            (int a, int b) = (_random.Next(1000, 30_000), _random.Next(1000, 30_000));
            answers[member] = string.Create(CultureInfo.InvariantCulture, $"{(long)a * b} is=");
            await boot.TypeAsync(member.Slot, string.Create(
                CultureInfo.InvariantCulture, $"read -r is </tmp/mine; echo $(({a}*{b})) is=$is.\n"))
                .ConfigureAwait(false);
        }

        int answered = 0;
        foreach (FamilyMember member in _family.Members)
        {
            await _family.PromptAsync(member, answers[member]).ConfigureAwait(false);
            if (!boot.Console(member.Slot).Contains($"{answers[member]}{member.Secret}.", StringComparison.Ordinal))
            {
                throw _family.Wrong(member, "it has not got what it wrote");
            }

            _family.Tell("answered", ++answered);
        }
    }

    private async Task<(double Median, double Most)> OwnedAsync()
    {
        List<double> owned = [];
        foreach (FamilyMember member in _family.Members)
        {
            owned.Add((await boot.OrderAsync("measure", member.Vm).ConfigureAwait(false)).Number("owned_bytes"));
        }

        Percentiles figures = Percentiles.Of(owned);
        return (figures.P50, figures.Maximum);
    }

    /// <summary>Kills all; the median of the first tenth, which die while the others are there.</summary>
    private async Task<(double Among, long Lost)> KillAllAsync()
    {
        List<double> kills = [];
        long lost = 0;
        foreach (FamilyMember member in _family.Members)
        {
            DeathFigures death = await boot.KillAsync(member.Vm, member.Slot).ConfigureAwait(false);
            kills.Add(death.Instructions);
            lost += death.LeakedFrames;
            _family.Tell("dead", kills.Count);
        }

        return (Percentiles.Of(kills.Take(Math.Max(KilledAlone, kills.Count / 10))).P50, lost);
    }
}
