using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;

namespace Quietus.Cli.Many;

/// <summary>
/// Many VMs of one template, alive at once: each answers with what no other knows, all are idle for a second, all die,
/// and all memory is back.
/// </summary>
internal sealed class Crowd(ManyPlan plan, BirthsBoot boot, Action<string> progress)
{
    private const int AtOnce = 16;
    private const int KilledAlone = 5;
    private const double MostIdlePercent = 2;
    private const double MostKillRatio = 1.05;
    private const ulong BornReport = 7;
    private const ulong RandomReport = 12;
    private const string Prompt = "# ";
    private static readonly TimeSpan _look = TimeSpan.FromMilliseconds(500);

    private readonly List<Member> _members = [];
    private readonly Random _random = new(13);

    public int VmidBits { get; private set; }

    public long VmidRollovers { get; private set; }

    private bool IsLinux => plan.Guest.Name == GuestPayload.Linux;

    public async Task<IReadOnlyList<ManyFigure>> RunAsync()
    {
        KeyValueLine machine = await boot.AskAsync("machine").ConfigureAwait(false);
        VmidBits = (int)machine.Number("vmid_bits");
        long used = await UsedAsync().ConfigureAwait(false);
        progress($"{plan.Guest.Name}: the template boots");
        (long template, int slot) = await BootAsync().ConfigureAwait(false);
        double alone = await KillAloneAsync(template).ConfigureAwait(false);
        await BearAsync(template).ConfigureAwait(false);
        await AnswerAsync().ConfigureAwait(false);
        (double median, double most) = await OwnedAsync().ConfigureAwait(false);
        double? idle = await IdleAsync().ConfigureAwait(false);
        (double among, long lost) = await KillAllAsync().ConfigureAwait(false);
        lost += (await boot.KillAsync(template, slot).ConfigureAwait(false)).LeakedFrames;
        KeyValueLine memory = await boot.AskAsync("memory").ConfigureAwait(false);
        VmidRollovers = memory.Number("vmid_rollovers");
        lost += memory.Number("refused_frees") + memory.Number("misplaced_chunks")
            + Math.Abs(memory.Number("used_bytes") - used);
        List<ManyFigure> figures =
        [
            new("answered_vms", "VMs alive at once, that each gave an answer of its own", _members.Count, "N0"),
            new("owned_median_bytes", "… own, median: bytes", median, "N0"),
            new("owned_max_bytes", "… own, at most: bytes", most, "N0"),
            new("kill_alone_instructions", "a kill alone: instructions", alone, "N0"),
            new("kill_among_instructions", "a kill among them: instructions", among, "N0", alone * MostKillRatio),
            new("lost_frames", "frames lost when all are dead", lost, "N0", 0),
        ];
        if (idle is double percent)
        {
            figures.Insert(3, new ManyFigure(
                "idle_core_percent", "… idle, what the hypervisor executes for them: % of a core", percent, "N2",
                MostIdlePercent * plan.Vms / ManyPlan.Promised));
        }

        return figures;
    }

    private async Task<(long Vm, int Slot)> BootAsync()
    {
        string append = IsLinux ? "console=ttyAMA0 quiet" : "fill=1M touch=page freeze=yes shared=random";
        string create = new GuestOrder(
            plan.Guest.Name, plan.VmMemory, Cpus: 1, "4k", MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate), append)
            .Command;
        (long vm, int slot) = await boot.StartAsync(create).ConfigureAwait(false);
        if (IsLinux)
        {
            await boot.PrintedAsync(vm, slot, "quietus-guest: shell ready", Prompt).ConfigureAwait(false);

            // Each child goes on here, and draws a number that its siblings cannot know.
            await boot.TypeAsync(
                slot,
                "agent freeze && read -r u </proc/sys/kernel/random/uuid; echo $u >/tmp/mine; echo uuid=$u.\n")
                .ConfigureAwait(false);
        }

        await boot.FrozenAsync(vm).ConfigureAwait(false);
        return (vm, slot);
    }

    /// <summary>The median of some children's, each of them alone on the machine.</summary>
    private async Task<double> KillAloneAsync(long template)
    {
        List<double> kills = [];
        for (int i = 0; i < KilledAlone; i++)
        {
            (long vm, int slot) = (await boot.ForkAsync(template, 1).ConfigureAwait(false))[0];
            await BornAsync(new Member(vm, slot)).ConfigureAwait(false);
            kills.Add((await boot.KillAsync(vm, slot).ConfigureAwait(false)).Instructions);
        }

        return Median(kills);
    }

    private async Task BearAsync(long template)
    {
        HashSet<string> secrets = [];
        while (_members.Count < plan.Vms)
        {
            Member[] born =
            [
                .. (await boot.ForkAsync(template, Math.Min(AtOnce, plan.Vms - _members.Count)).ConfigureAwait(false))
                    .Select(child => new Member(child.Vm, child.Slot)),
            ];
            _members.AddRange(born);
            foreach (Member member in born)
            {
                member.Secret = await BornAsync(member).ConfigureAwait(false);
                if (!secrets.Add(member.Secret))
                {
                    throw Wrong(member, "it drew the same random number as another one");
                }
            }

            Tell("born", _members.Count);
        }
    }

    /// <summary>
    /// Asks every one for what it drew at its birth, and for a product that no other is asked for: all of them are
    /// alive, and have the same to do at the same time.
    /// </summary>
    private async Task AnswerAsync()
    {
        if (!IsLinux)
        {
            return; // a filler hears nothing: what it reported at its birth is its answer
        }

        foreach (Member member in _members)
        {
            (int a, int b) = (_random.Next(1000, 30_000), _random.Next(1000, 30_000));
            member.Product = string.Create(CultureInfo.InvariantCulture, $"{(long)a * b}");
            await boot.TypeAsync(member.Slot, string.Create(
                CultureInfo.InvariantCulture, $"read -r is </tmp/mine; echo $(({a}*{b})) is=$is.\n"))
                .ConfigureAwait(false);
        }

        for (int i = 0; i < _members.Count; i++)
        {
            Member member = _members[i];
            await boot.PrintedAsync(member.Vm, member.Slot, $"{member.Product} is=", Prompt).ConfigureAwait(false);
            if (!boot.Console(member.Slot).Contains(
                $"{member.Product} is={member.Secret}.", StringComparison.Ordinal))
            {
                throw Wrong(member, "it has not got what it wrote");
            }

            if ((i + 1) % AtOnce == 0 || i + 1 == _members.Count)
            {
                Tell("answered", i + 1);
            }
        }
    }

    private async Task<(double Median, double Most)> OwnedAsync()
    {
        List<double> owned = [];
        foreach (Member member in _members)
        {
            owned.Add((await boot.OrderAsync("measure", member.Vm).ConfigureAwait(false)).Number("owned_bytes"));
        }

        return (Median(owned), owned.Max());
    }

    /// <summary>
    /// What all cores execute at EL2 in a second and more of virtual time, in which no order is given but the one that
    /// asks for it; null where the machine does not count that.
    /// </summary>
    private async Task<double?> IdleAsync()
    {
        const long Second = 1_000_000_000;
        progress("all are idle");
        await Task.Delay(_look).ConfigureAwait(false);
        KeyValueLine begin = await boot.AskAsync("machine").ConfigureAwait(false);
        if (begin.TryNumber("el2_instructions") is null)
        {
            return null;
        }

        KeyValueLine end = begin;
        while (end.Number("virtual_ns") - begin.Number("virtual_ns") < Second)
        {
            await Task.Delay(_look).ConfigureAwait(false);
            end = await boot.AskAsync("machine").ConfigureAwait(false);
        }

        return 100.0 * (end.Number("el2_instructions") - begin.Number("el2_instructions"))
            / (end.Number("virtual_ns") - begin.Number("virtual_ns"));
    }

    /// <summary>Kills all; the median of the first tenth, which die while the others are there.</summary>
    private async Task<(double Among, long Lost)> KillAllAsync()
    {
        List<double> kills = [];
        long lost = 0;
        foreach (Member member in _members)
        {
            DeathFigures death = await boot.KillAsync(member.Vm, member.Slot).ConfigureAwait(false);
            kills.Add(death.Instructions);
            lost += death.LeakedFrames;
        }

        Tell("dead", kills.Count);
        return (Median([.. kills.Take(Math.Max(KilledAlone, kills.Count / 10))]), lost);
    }

    /// <summary>Waits for what a child says first, and returns what no other one knows.</summary>
    private async Task<string> BornAsync(Member member)
    {
        if (!IsLinux)
        {
            await boot.ReportAsync(member.Vm, BornReport).ConfigureAwait(false);
            return (await boot.ReportAsync(member.Vm, RandomReport).ConfigureAwait(false))
                .ToString(CultureInfo.InvariantCulture);
        }

        await boot.PrintedAsync(member.Vm, member.Slot, "uuid=", "." + "\r\n").ConfigureAwait(false);
        string console = boot.Console(member.Slot);
        int at = console.LastIndexOf("uuid=", StringComparison.Ordinal) + "uuid=".Length;
        return console[at..console.IndexOf('.', at)];
    }

    private async Task<long> UsedAsync() =>
        (await boot.AskAsync("memory").ConfigureAwait(false)).Number("used_bytes");

    private CliException Wrong(Member member, string what) => new(
        ExitCode.Failed, string.Create(CultureInfo.InvariantCulture, $"VM {member.Vm}: {what}"),
        "please report it: one VM has seen another's state", boot.Console(member.Slot));

    private void Tell(string what, int count) => progress(
        string.Create(CultureInfo.InvariantCulture, $"[{count}/{plan.Vms}] {what}"));

    private static double Median(List<double> values) => values.Order().ElementAt((values.Count - 1) / 2);

    private sealed class Member(long vm, int slot)
    {
        public long Vm => vm;

        public int Slot => slot;

        public string Secret { get; set; } = string.Empty;

        public string Product { get; set; } = string.Empty;
    }
}
