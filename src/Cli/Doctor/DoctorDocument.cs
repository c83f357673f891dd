using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Reports;

namespace Quietus.Cli.Doctor;

/// <summary>What this host has, for programs.</summary>
internal sealed record DoctorDocument(
    bool BenchCanRun,
    string? InstallCommand,
    IEnumerable<FindingEntry> Findings) : Document("quietus.doctor/1")
{
    public static DoctorDocument Of(Examination examination) => new(
        examination.BenchCanRun,
        examination.InstallCommand,
        examination.Findings.Select(FindingEntry.Of));
}

internal sealed record FindingEntry(
    string Name,
    bool Found,
    bool Needed,
    string Detail,
    string Purpose,
    string? Package,
    string? Remedy)
{
    public static FindingEntry Of(Finding finding) => new(
        finding.Name,
        finding.Found,
        finding.Needed,
        finding.Detail,
        finding.Purpose,
        finding.Package,
        finding.Remedy);
}
