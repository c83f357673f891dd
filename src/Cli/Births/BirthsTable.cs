using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Births;

/// <summary>Births for people, within 80 columns.</summary>
internal static class BirthsTable
{
    private const string Dash = "-";

    private static readonly TextColumn<BirthsRow>[] _lives =
    [
        new("template", 8, true, row => row.Template),
        new("memory", 7, false, row => ByteSize.FormatOption(row.MemoryBytes)),
        new("pages", 5, true, row => row.Pages),
        new("birth", 7, false, row => Whole(row.Birth)),
        new("reset", 7, false, row => Whole(row.Reset)),
        new(DeathWay.Kill.Name(), 6, false, row => Whole(row.Kill)),
        new("freeze/page", 11, false, row => row.FreezePerPage.ToString("N1", CultureInfo.InvariantCulture)),
        new("owned", 9, false, row => ByteSize.Format(row.OwnedAfterBirth)),
    ];

    private static readonly TextColumn<BirthsRow>[] _writes =
    [
        new("template", 8, true, row => row.Template),
        new("memory", 7, false, row => ByteSize.FormatOption(row.MemoryBytes)),
        new("pages", 5, true, row => row.Pages),
        new("read faults", 11, false, row => Whole(row.ReadFaults)),
        new("a write", 8, false, row => Part(row.WriteFault)),
        new("1st in 2 MB", 11, false, row => Part(row.WriteFaultFirst)),
        new("1st in 1 GB", 11, false, row => Part(row.WriteFaultGigabyte)),
    ];

    private static readonly TextColumn<BirthsRow>[] _ready =
    [
        new("template", 8, true, row => row.Template),
        new("memory", 7, false, row => ByteSize.FormatOption(row.MemoryBytes)),
        new("pages", 5, true, row => row.Pages),
        new("boot", 14, false, row => Whole(row.Boot)),
        new("ready", 12, false, row => Whole(row.Ready)),
        new("times", 7, false, row => row is { Ready: { } ready, Boot: { } boot }
            ? ((double)boot / ready).ToString("N0", CultureInfo.InvariantCulture)
            : Dash),
        new("owned", 9, false, row => row.OwnedAfterCommand is { } owned ? ByteSize.Format(owned) : Dash),
    ];

    public static void Write(TextWriter writer, BirthsResult result)
    {
        TextTable.WriteTitle(writer, string.Create(
            CultureInfo.InvariantCulture,
            $"{Counted.Of(result.Plan.Children, "child", "children")} of each template, {result.Plan.Cpu.Name}, "
                + $"{Counted.Of(result.Plan.Cpus, "vCPU")}: instructions"));
        TextTable.Write(writer, _lives, result.Rows);
        TextTable.WriteNote(
            writer, "birth: from the order to the child's first instruction; owned: the child's own pages and tables "
                + "afterwards.");
        writer.WriteLine();
        if (result.Rows.Any(row => row.WriteFault is not null))
        {
            TextTable.Write(writer, _writes, result.Rows.Where(row => row.WriteFault is not null));
            TextTable.WriteNote(writer, "read faults: Stage-2 faults of a read of all that the template had filled.");
            writer.WriteLine();
        }

        if (result.Rows.Any(row => row.Ready is not null))
        {
            TextTable.Write(writer, _ready, result.Rows.Where(row => row.Ready is not null));
            TextTable.WriteNote(
                writer, "boot: from the start order to the shell's prompt; ready: from the fork order until a shell "
                    + "command has answered and the prompt is back, both in virtual time, with what the guest waits "
                    + "for; owned: by the child after that.");
        }

        if (result.Kvm is { } kvm)
        {
            writer.WriteLine();
            KvmBirthsTable.Write(writer, result, kvm);
        }

        if (result.IsInterrupted)
        {
            TextTable.WriteNote(writer, "Interrupted: the rows above are complete, others are missing.");
        }
    }

    private static string Whole(long? count) => count?.ToString("N0", CultureInfo.InvariantCulture) ?? Dash;

    private static string Part(double? count) => count?.ToString("N0", CultureInfo.InvariantCulture) ?? Dash;
}
