using System;
using System.Linq;
using Quietus.Cli.CommandLine;

namespace Quietus.Cli.Qemu;

/// <summary>A CPU model that the hypervisor is made for.</summary>
/// <param name="Name">As the option says it.</param>
/// <param name="QemuName">As QEMU is told.</param>
internal sealed record CpuModel(string Name, string QemuName)
{
    /// <summary>The models, the default first.</summary>
    public static readonly CpuModel[] All =
    [
        new("cortex-a72", "cortex-a72"),
        new("neoverse-n1", "neoverse-n1"),

        // The default pointer authentication of "max" is a real cipher, computed in software at every call.
        new("max", "max,pauth-impdef=on"),
    ];

    public static CpuModel Parse(string name) =>
        Array.Find(All, model => model.Name == name) ?? throw CliException.Usage(
            $"unknown CPU '{name}'", "--cpu takes " + string.Join(", ", All.Select(model => model.Name)));
}
