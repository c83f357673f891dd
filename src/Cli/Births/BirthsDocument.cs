using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Births;

/// <summary>Births for programs.</summary>
internal sealed record BirthsDocument(
    BirthsConfiguration Config,
    bool Interrupted,
    IEnumerable<BirthsEntry> Rows,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] KvmBirthsEntry? Kvm,
    long WallNs) : Document(Name)
{
    public const string Name = "quietus.births/1";

    public static BirthsDocument Of(BirthsResult result) => new(
        BirthsConfiguration.Of(result), result.IsInterrupted, result.Rows.Select(BirthsEntry.Of),
        result.Kvm is { } kvm ? KvmBirthsEntry.Of(result, kvm) : null, result.WallNanoseconds);
}

/// <summary>All that it takes to repeat them.</summary>
internal sealed record BirthsConfiguration(
    int Children,
    string Cpu,
    string QemuVersion,
    [property: JsonPropertyName("image_sha256")] string ImageHash,
    string Command)
{
    public static BirthsConfiguration Of(BirthsResult result) => new(
        result.Plan.Children, result.Plan.Cpu.Name, result.QemuVersion, result.ImageSha256, result.Plan.Command);
}

/// <summary>One template and its children.</summary>
internal sealed record BirthsEntry(
    string Template,
    long MemoryBytes,
    string PageSize,
    int Vcpus,
    [property: JsonPropertyName("mapped_pages_4k")] long MappedPages,
    long FreezeInstructions,
    long BirthInstructions,
    long ResetInstructions,
    long KillInstructions,
    long? ReadFaults,
    double? WriteFaultInstructions,
    double? WriteFaultFirstInstructions,
    double? WriteFaultGigabyteInstructions,
    long OwnedBytesAfterBirth,
    long? OwnedBytesAfterCommand,
    long? ReadyInstructions,
    long? BootInstructions)
{
    public static BirthsEntry Of(BirthsRow row) => new(
        row.Template, row.MemoryBytes, row.Pages, row.Cpus, row.MappedPages, row.Freeze, row.Birth, row.Reset, row.Kill,
        row.ReadFaults, Document.Rounded(row.WriteFault), Document.Rounded(row.WriteFaultFirst),
        Document.Rounded(row.WriteFaultGigabyte), row.OwnedAfterBirth, row.OwnedAfterCommand, row.Ready, row.Boot);
}
