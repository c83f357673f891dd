using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading.Tasks;
using Quietus.Cli.Births;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;

namespace Quietus.Cli.Many;

/// <summary>A child of the template.</summary>
internal sealed class FamilyMember(long vm, int slot)
{
    public long Vm => vm;

    public int Slot => slot;

    /// <summary>The random number that it drew at its birth, which no other one knows.</summary>
    public string Secret { get; set; } = string.Empty;
}

/// <summary>A template, and children of it that are alive at once. Each draws a random number as it is born.</summary>
internal sealed class Family(ManyPlan plan, BirthsBoot boot, Action<string> progress)
{
    /// <summary>How many children one order makes.</summary>
    private const int AtOnce = 16;

    private const ulong BornReport = 7;
    private const ulong RandomReport = 12;
    private const string Prompt = "# ";

    private readonly List<FamilyMember> _members = [];
    private readonly HashSet<string> _secrets = [];

    public IReadOnlyList<FamilyMember> Members => _members;

    public bool IsLinux => plan.Guest.Name == GuestPayload.Linux;

    /// <summary>The template, once it is there.</summary>
    public FamilyMember? Template { get; private set; }

    /// <summary>Boots the template and freezes it.</summary>
    /// <param name="cores">The cores that it and its children may use; null for all.</param>
    public async Task BootAsync(string? cores = null)
    {
        progress($"{plan.Guest.Name}: the template boots");
        string append = IsLinux ? "console=ttyAMA0 quiet" : "fill=1M touch=page freeze=yes shared=random";
        string create = new GuestOrder(
            plan.Guest.Name, plan.VmMemory, Cpus: 1, "4k", MaintenancePolicy.Of(Memory.MaintenancePolicy.Fate), append)
        {
            Cores = cores,
        }.Command;
        (long vm, int slot) = await boot.StartAsync(create).ConfigureAwait(false);
        if (IsLinux)
        {
            await boot.PrintedAsync(vm, slot, "quietus-guest: shell ready", Prompt).ConfigureAwait(false);

            // Each child goes on here, and draws a number that its siblings cannot know.
            await boot.TypeAsync(
                slot, "agent freeze && read -r u </proc/sys/kernel/random/uuid; echo $u >/tmp/mine; echo uuid=$u.\n")
                .ConfigureAwait(false);
        }

        await boot.FrozenAsync(vm).ConfigureAwait(false);
        Template = new FamilyMember(vm, slot);
    }

    /// <summary>One child, which is none of the members.</summary>
    public async Task<FamilyMember> OneAsync()
    {
        (long vm, int slot) = (await boot.ForkAsync(Template!.Vm, 1).ConfigureAwait(false))[0];
        var child = new FamilyMember(vm, slot);
        await BornAsync(child).ConfigureAwait(false);
        return child;
    }

    /// <summary>So many children as were asked for, and what each of them drew.</summary>
    public async Task BearAsync()
    {
        while (_members.Count < plan.Vms)
        {
            FamilyMember[] born =
            [
                .. (await boot.ForkAsync(Template!.Vm, Math.Min(AtOnce, plan.Vms - _members.Count))
                    .ConfigureAwait(false)).Select(child => new FamilyMember(child.Vm, child.Slot)),
            ];
            _members.AddRange(born);
            foreach (FamilyMember member in born)
            {
                await BornAsync(member).ConfigureAwait(false);
            }

            Tell("born", _members.Count);
        }
    }

    /// <summary>Waits until a Linux child has printed something and then its prompt.</summary>
    public Task PromptAsync(FamilyMember member, string text) =>
        boot.PrintedAsync(member.Vm, member.Slot, text, Prompt);

    /// <summary>Says how far all are, now and then.</summary>
    public void Tell(string what, int count)
    {
        if (count % AtOnce == 0 || count == plan.Vms)
        {
            progress(string.Create(CultureInfo.InvariantCulture, $"[{count}/{plan.Vms}] {what}"));
        }
    }

    /// <summary>One VM has what it should not have.</summary>
    public CliException Wrong(FamilyMember member, string what) => new(
        ExitCode.Failed, string.Create(CultureInfo.InvariantCulture, $"VM {member.Vm}: {what}"),
        "please report it: one VM has seen another's state", boot.Console(member.Slot));

    private async Task BornAsync(FamilyMember member)
    {
        member.Secret = IsLinux ? await UuidAsync(member).ConfigureAwait(false)
            : await ReportsAsync(member).ConfigureAwait(false);
        if (!_secrets.Add(member.Secret))
        {
            throw Wrong(member, "it drew the same random number as another one");
        }
    }

    private async Task<string> ReportsAsync(FamilyMember member)
    {
        await boot.ReportAsync(member.Vm, BornReport).ConfigureAwait(false);
        return (await boot.ReportAsync(member.Vm, RandomReport).ConfigureAwait(false))
            .ToString(CultureInfo.InvariantCulture);
    }

    private async Task<string> UuidAsync(FamilyMember member)
    {
        const string Key = "uuid=";
        await PromptAsync(member, Key).ConfigureAwait(false);
        string console = boot.Console(member.Slot);
        int at = console.LastIndexOf(Key, StringComparison.Ordinal) + Key.Length;
        int end = console.IndexOf('.', at);
        return end > at ? console[at..end] : throw Wrong(member, "it drew no random number");
    }
}
