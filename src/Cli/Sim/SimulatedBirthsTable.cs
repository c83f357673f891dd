using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Simulator;
using Quietus.Wire;

namespace Quietus.Cli.Sim;

/// <summary>Births on simulated servers for people, within 80 columns.</summary>
internal static class SimulatedBirthsTable
{
    private static readonly TextColumn<SimulatedBirths>[] _times =
    [
        .. Head(),
        new("birth", 8, false, births => Time(births, BirthStepKind.Birth)),
        new("a write", 8, false, births => Time(births, BirthStepKind.Write)),
        new("1st, 2 MB", 9, false, births => Time(births, BirthStepKind.WriteFirstInBlock)),
        new("1st, 1 GB", 9, false, births => Time(births, BirthStepKind.WriteFirstInGigabyte)),
        new("reset", 8, false, births => Time(births, BirthStepKind.Reset)),
        new(DeathWay.Kill.Name(), 8, false, births => Time(births, BirthStepKind.Kill)),
    ];

    private static readonly TextColumn<SimulatedBirths>[] _ranges =
    [
        .. Head(),
        new("freeze", 8, false, births => Time(births, BirthStepKind.Freeze)),
        new("read faults", 11, false, births => Whole(births.Base.ReadFaults)),
        new("birth, from to", 17, false, births => Range(births[BirthStepKind.Birth])),
        new("a write, from to", 17, false, births => Range(births[BirthStepKind.Write])),
    ];

    private static readonly TextColumn<SimulatedStep>[] _counts =
    [
        new("step", 14, true, step => SimulationNames.Of(step.Step.Kind).Replace('_', ' ')),
        new("vmid", 4, false, step => Whole(step.Step.Bill.Counts.TlbiVmid)),
        new("ipa", 4, false, step => Whole(step.Step.Bill.Counts.TlbiIpa)),
        new("vmalle1", 7, false, step => Whole(step.Step.Bill.Counts.TlbiVmalle1)),
        new("DSB", 5, false, step => Whole(step.Step.Bill.Counts.Dsb)),
        new("DC lines", 11, false, step => Whole(step.Step.Bill.Counts.DcLines)),
        new("copies", 6, false, step => Whole(step.Step.Bill.Counts.PagesCopied)),
        new("tables", 6, false, step => Whole(step.Step.Bill.Counts.TablesTaken)),
        new("written", 9, false, step => Whole(step.Step.Bill.Counts.EntryWrites)),
    ];

    public static void Write(TextWriter writer, SimulatedBirthsRun run)
    {
        TextTable.WriteTitle(writer, "Births: what the memory's part of each step takes");
        TextTable.Write(writer, _times, run.Births);
        writer.WriteLine();
        TextTable.Write(writer, _ranges, run.Births);
        TextTable.WriteNote(
            writer, "From to: with all assumed costs of the preset at their low ends, and at their high ends. They "
                + "are: " + string.Join("; ", run.Machines.Select(machine => machine.Name + ": "
                    + string.Join(", ", Sensitivity.Assumptions(machine).Select(figure => figure.Key)))) + ".");
        foreach (SimulatedBirths births in run.Births)
        {
            writer.WriteLine();
            TextTable.WriteTitle(
                writer, $"{births.Request.Machine.Name}, {ByteSize.Format((long)births.Request.MemoryBytes)}, pages "
                    + $"{PagesOf(births.Request)}: TLBI by kind, and what else was issued");
            TextTable.Write(writer, _counts, births.Steps);
        }

        writer.WriteLine();
        TextTable.WriteNote(
            writer, "A model: what the engine issued, a call for each order, an interrupt for each vCPU and a fault "
                + "for each first write, times the machine's figures. Registers and devices are in no preset: "
                + "./quietus bench --births counts them in instructions.");
    }

    public static string PagesOf(BirthRequest request) => request.IsByBlocks ? "2m" : "4k";

    private static TextColumn<SimulatedBirths>[] Head() =>
    [
        new("machine", 10, true, births => births.Request.Machine.Name),
        new("memory", 6, false, births => ByteSize.FormatOption((long)births.Request.MemoryBytes)),
        new("pages", 5, true, births => PagesOf(births.Request)),
    ];

    private static string Time(SimulatedBirths births, BirthStepKind step) => Duration.Format(births[step].Nanoseconds);

    private static string Range(SimulatedStep step) =>
        Duration.Format(step.LowNanoseconds) + " " + Duration.Format(step.HighNanoseconds);

    private static string Whole(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
