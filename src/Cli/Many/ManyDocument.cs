using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Many;

/// <summary>Many VMs for programs: a row for each figure.</summary>
internal sealed record ManyDocument(
    ManyConfiguration Config, bool Interrupted, IEnumerable<ManyEntry> Rows, int AnsweredVms, int VmidBits,
    long VmidRollovers, long WallNs) : Document(Name)
{
    public const string Name = "quietus.many/1";

    public static ManyDocument Of(ManyResult result) => new(
        ManyConfiguration.Of(result), result.IsInterrupted, result.Figures.Select(ManyEntry.Of), result.Answered,
        result.VmidBits, result.VmidRollovers, result.WallNanoseconds);
}

/// <summary>All that it takes to repeat them.</summary>
internal sealed record ManyConfiguration(
    int Vms,
    string Guest,
    long VmMemoryBytes,
    int Cores,
    long MachineMemoryBytes,
    string Cpu,
    string QemuVersion,
    [property: JsonPropertyName("image_sha256")] string ImageHash,
    string Command)
{
    public static ManyConfiguration Of(ManyResult result) => new(
        result.Plan.Vms, result.Plan.Guest.Name, result.Plan.VmMemory, ManyPlan.Cores, result.Plan.MachineMemory,
        result.Plan.Cpu.Name, result.QemuVersion, result.ImageSha256, result.Plan.Command);
}

/// <summary>One figure. Its name ends in its unit.</summary>
internal sealed record ManyEntry(string Figure, double Value, double? Bound, bool? Met)
{
    public static ManyEntry Of(ManyFigure figure) => new(
        figure.Name, Document.Rounded(figure.Value), Document.Rounded(figure.Bound), figure.IsMet);
}
