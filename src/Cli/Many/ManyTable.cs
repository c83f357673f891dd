using System.Globalization;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Many;

/// <summary>Many VMs for people, within 80 columns.</summary>
internal static class ManyTable
{
    /// <summary>How the figures are to be read.</summary>
    public const string Method =
        "Time is virtual: a nanosecond for each instruction of the machine (QEMU -icount). A switch goes from the "
        + "exit of one VM's vCPU to the entry of another's, by the guests' clocks. Shares are of work that the guests "
        + "count. Alone is a child that has the machine for itself; what is idle is promised for 1,000 VMs, and fewer "
        + "have their part of it.";

    private static readonly TextColumn<ManyFigure>[] _figures =
    [
        new("what", 51, true, figure => figure.Title),
        new("measured", 10, false, Measured),
        new("at most", 9, false, Bound),
        new("", 6, true, Met),
    ];

    public static void Write(TextWriter writer, ManyResult result)
    {
        TextTable.WriteTitle(writer, Title(result));
        TextTable.Write(writer, _figures, result.Figures);
        if (result.Answered > 0)
        {
            TextTable.WriteNote(writer, string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Answered:N0} VMs were alive at once, and each gave an answer of its own."));
        }

        TextTable.WriteNote(writer, Method);
        if (result.IsInterrupted)
        {
            TextTable.WriteNote(writer, "Interrupted: the figures above are complete, others are missing.");
        }
    }

    /// <summary>What was measured, as a heading.</summary>
    public static string Title(ManyResult result)
    {
        string vms = result.Plan.Guest.Name == GuestPayload.Linux ? "Linux VM" : "filler VM";
        string vmids = result.VmidBits == 0 ? string.Empty : string.Create(
            CultureInfo.InvariantCulture,
            $", {result.VmidBits}-bit VMIDs ({Counted.Of(result.VmidRollovers, "rollover")})");
        return $"{Counted.Of(result.Plan.Vms, vms)} on {ManyPlan.Cores} cores and "
            + $"{ByteSize.Format(result.Plan.MachineMemory)}, {result.Plan.Cpu.Name}{vmids}";
    }

    /// <summary>A figure's value.</summary>
    public static string Measured(ManyFigure figure) =>
        figure.Value.ToString(figure.Format, CultureInfo.InvariantCulture);

    /// <summary>What it may be at most; empty where nothing is promised.</summary>
    public static string Bound(ManyFigure figure) =>
        figure.Bound?.ToString(figure.Format, CultureInfo.InvariantCulture) ?? string.Empty;

    /// <summary>Whether it is.</summary>
    public static string Met(ManyFigure figure) => figure.IsMet switch
    {
        true => "met",
        false => "MISSED",
        null => string.Empty,
    };
}
