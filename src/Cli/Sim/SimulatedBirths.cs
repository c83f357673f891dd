using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using System.Threading;
using Quietus.Cli.Reports;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>
/// Births of one template, with every assumed cost as the machine's preset has it, and at both ends of its range.
/// </summary>
/// <param name="Base">As the preset has it.</param>
/// <param name="AtLow">All assumptions at their low ends, at once.</param>
/// <param name="AtHigh">All at their high ends.</param>
internal sealed record SimulatedBirths(BirthResult Base, BirthResult AtLow, BirthResult AtHigh)
{
    public BirthRequest Request => Base.Request;

    /// <summary>Each step, with what it takes at both ends.</summary>
    public IEnumerable<SimulatedStep> Steps => Base.Steps.Select((step, index) => new SimulatedStep(
        this, step, Nanoseconds(step), Nanoseconds(AtLow.Steps[index]), Nanoseconds(AtHigh.Steps[index])));

    /// <summary>One of them.</summary>
    public SimulatedStep this[BirthStepKind kind] => Steps.First(step => step.Step.Kind == kind);

    public static SimulatedBirths Run(BirthRequest request, CancellationToken cancellation)
    {
        return new(
            BirthSimulation.Run(request, cancellation), At(figure => figure.Low), At(figure => figure.High));

        BirthResult At(Func<Figure, double> end)
        {
            MachinePreset machine = request.Machine;
            foreach (Figure figure in Sensitivity.Assumptions(request.Machine))
            {
                try
                {
                    machine = machine.With(figure.Key, end(figure), "assumption");
                }
                catch (PresetException)
                {
                    // At this end it makes no machine: a remote line that is cheaper than a local one.
                }
            }

            return BirthSimulation.Run(request with { Machine = machine }, cancellation);
        }
    }

    private static double Nanoseconds(BirthStep step) => step.Bill.Time.Picoseconds / 1000.0;
}

/// <summary>One step of a template's or a child's life.</summary>
internal sealed record SimulatedStep(
    SimulatedBirths Of, BirthStep Step, double Nanoseconds, double LowNanoseconds, double HighNanoseconds);

/// <summary>A run of births, also one that was cut short.</summary>
internal sealed record SimulatedBirthsRun(
    IReadOnlyList<MachinePreset> Machines, IReadOnlyList<long> MemoryBytes, IReadOnlyList<string> Pages, int Vcpus,
    string Command, IReadOnlyList<SimulatedBirths> Births)
{
    public bool IsComplete => Births.Count == Machines.Count * MemoryBytes.Count * Pages.Count;
}

/// <summary>Births on simulated servers, for programs.</summary>
internal sealed record SimulatedBirthsDocument(
    SimulatedBirthsConfiguration Config, bool Complete, IEnumerable<SimulatedBirthsEntry> Rows) : Document(Name)
{
    public const string Name = "quietus.sim.births/1";

    public static SimulatedBirthsDocument Of(SimulatedBirthsRun run) => new(
        new SimulatedBirthsConfiguration(
            run.Machines.Select(MachineEntry.Of), run.MemoryBytes, run.Pages, run.Vcpus,
            BirthSimulation.WrittenBeforeReset, run.Command),
        run.IsComplete,
        run.Births.SelectMany(births => births.Steps, (_, step) => SimulatedBirthsEntry.Of(step)));
}

/// <summary>All that it takes to repeat the run.</summary>
internal sealed record SimulatedBirthsConfiguration(
    IEnumerable<MachineEntry> Machines, IEnumerable<long> MemoryBytes, IEnumerable<string> PageSizes, int Vcpus,
    int WrittenBeforeReset, string Command);

/// <summary>One step: what was issued, what it takes, and what the assumed costs leave open.</summary>
internal sealed record SimulatedBirthsEntry(
    string Machine,
    ulong MemoryBytes,
    string PageSize,
    string Step,
    [property: JsonPropertyName("mapped_pages_4k")] long MappedPages,
    [property: JsonPropertyName("mapped_blocks_2m")] long MappedBlocks,
    long ReadFaults,
    double StepNs,
    double LowNs,
    double HighNs,
    double CmoNs,
    double TlbiNs,
    double WalkNs,
    double FreeNs,
    double OtherNs,
    long TlbiIpa,
    long TlbiRange,
    long TlbiVmid,
    [property: JsonPropertyName("tlbi_vmalle1")] long TlbiVmalle1,
    long DcLines,
    long Dsb,
    long PagesCopied,
    long TablesTaken,
    long EntryReads,
    long EntryWrites,
    long Faults,
    long Ipis)
{
    public static SimulatedBirthsEntry Of(SimulatedStep step)
    {
        OperationCounts counts = step.Step.Bill.Counts;
        TimeShares time = step.Step.Bill.Time;
        return new(
            step.Of.Request.Machine.Name,
            step.Of.Request.MemoryBytes,
            SimulatedBirthsTable.PagesOf(step.Of.Request),
            SimulationNames.Of(step.Step.Kind),
            step.Of.Base.MappedPages4K,
            step.Of.Base.MappedBlocks2M,
            step.Of.Base.ReadFaults,
            Rounded(step.Nanoseconds),
            Rounded(step.LowNanoseconds),
            Rounded(step.HighNanoseconds),
            time.CachePicoseconds / 1000.0,
            time.TlbiPicoseconds / 1000.0,
            time.WalkPicoseconds / 1000.0,
            time.TableFreePicoseconds / 1000.0,
            time.OtherPicoseconds / 1000.0,
            counts.TlbiIpa,
            counts.TlbiRange,
            counts.TlbiVmid,
            counts.TlbiVmalle1,
            counts.DcLines,
            counts.Dsb,
            counts.PagesCopied,
            counts.TablesTaken,
            counts.EntryReads,
            counts.EntryWrites,
            counts.Faults,
            counts.Ipis);

        static double Rounded(double nanoseconds) => Document.Rounded(nanoseconds);
    }
}
