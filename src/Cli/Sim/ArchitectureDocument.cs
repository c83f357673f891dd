using System.Collections.Generic;
using System.Linq;
using Quietus.Architectures;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>Deaths on machines of other architectures, for programs.</summary>
internal sealed record ArchitectureDocument(
    ArchitectureConfiguration Config, bool Complete, IEnumerable<ArchitectureRowEntry> Rows)
    : Document(Name)
{
    public const string Name = "quietus.sim.architectures/1";

    public static ArchitectureDocument Of(SimulationPlan plan, IReadOnlyList<ArchitectureRow> rows) => new(
        new ArchitectureConfiguration(
            plan.Machines.Select(MachineEntry.Of), plan.MemoryBytes, plan.Pages.Select(SimulationNames.Of),
            plan.Deaths.Select(SimulationNames.Of), plan.Policies.Select(static policy => policy.Name), plan.Vcpus,
            plan.Seed, plan.Command),
        rows.Count == plan.Cases.Count,
        rows.Select(ArchitectureRowEntry.Of));
}

/// <summary>All that it takes to repeat the run.</summary>
internal sealed record ArchitectureConfiguration(
    IEnumerable<MachineEntry> Machines,
    IEnumerable<long> MemoryBytes,
    IEnumerable<string> PageSizes,
    IEnumerable<string> Deaths,
    IEnumerable<string> Policies,
    int Vcpus,
    int Seed,
    string Command);

/// <summary>One death.</summary>
internal sealed record ArchitectureRowEntry(
    string Machine,
    string Architecture,
    ulong MemoryBytes,
    string PageSize,
    string Die,
    string Policy,
    double DeathNs,
    double CacheNs,
    double FlushNs,
    double WalkNs,
    double FreeNs,
    double OtherNs,
    double HostFreeNs,
    long TablePages,
    long Calls,
    long Visited,
    long Unlinked,
    long Changed,
    long FlushesOfPages,
    long FlushesOfGuest,
    long Waits,
    long Interrupts,
    long CacheLines,
    long WholeCaches,
    long TablesFreed)
{
    public static ArchitectureRowEntry Of(ArchitectureRow row)
    {
        ArchitectureResult result = row.Result;
        MachinePreset machine = result.Request.Machine;
        HookBill bill = result.Bill;
        return new ArchitectureRowEntry(
            machine.Name, machine.Architecture, result.Request.MemoryBytes, SimulationNames.Of(result.Request.Pages),
            SimulationNames.Of(result.Request.Death), row.Policy.Name, Document.Rounded(result.Nanoseconds),
            Document.Rounded(bill.Cache(machine)), Document.Rounded(bill.Flush(machine)),
            Document.Rounded(bill.Walk(machine)), Document.Rounded(bill.Free(machine)),
            Document.Rounded(bill.Other(machine) + result.OtherNanoseconds),
            Document.Rounded(result.HostFreeNanoseconds), result.Tables, bill[HookOperation.Call],
            bill[HookOperation.Visit], bill[HookOperation.Unlink], bill[HookOperation.Write],
            bill[HookOperation.FlushPage], bill[HookOperation.FlushGuest], bill[HookOperation.FlushWait],
            bill[HookOperation.Ipi], bill[HookOperation.CacheLine], bill[HookOperation.CacheAll],
            bill[HookOperation.TableFree]);
    }
}

/// <summary>The hooks' table, for programs.</summary>
internal sealed record HooksDocument(HooksConfiguration Config, bool Complete, IEnumerable<HookEntry> Rows)
    : Document(Name)
{
    public const string Name = "quietus.sim.hooks/1";

    public static HooksDocument Of(HooksRun run) => new(
        new HooksConfiguration(run.Machines.Select(MachineEntry.Of), run.MemoryBytes, run.Vcpus, run.Command),
        run.IsComplete,
        run.Rows.Select(HookEntry.Of));
}

/// <summary>All that it takes to make the table again.</summary>
internal sealed record HooksConfiguration(
    IEnumerable<MachineEntry> Machines, long MemoryBytes, int Vcpus, string Command);

/// <summary>One event on one machine: as Linux 5.5 answered it, and with the event and the pages' fate.</summary>
internal sealed record HookEntry(
    string Machine,
    string Architecture,
    string Event,
    long BeforeVisited,
    long BeforeFlushes,
    long BeforeInterrupts,
    long BeforeCacheLines,
    long BeforeWholeCaches,
    double BeforeNs,
    long Visited,
    long Flushes,
    long Interrupts,
    long CacheLines,
    long WholeCaches,
    double Ns)
{
    public static HookEntry Of(HookRow row) => new(
        row.Machine.Name, row.Machine.Architecture, HooksTable.NameOf(row.What), row.Before.Visited,
        row.Before.Flushes, row.Before.Interrupts, row.Before.CacheLines, row.Before.WholeCaches,
        Document.Rounded(row.Before.Nanoseconds), row.Now.Visited, row.Now.Flushes, row.Now.Interrupts,
        row.Now.CacheLines, row.Now.WholeCaches, Document.Rounded(row.Now.Nanoseconds));
}
