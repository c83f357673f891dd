using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using Quietus.Simulator;
using Xunit;

namespace Quietus.Architectures.Tests;

/// <summary>The presets of other architectures.</summary>
internal static class Presets
{
    internal static string Folder { get; } = Path.Combine(
        typeof(Presets).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .Single(static entry => entry.Key == "RepositoryRoot").Value!,
        "machines", "architectures");

    internal static IReadOnlyList<string> Names => MachinePreset.Names(Folder);

    internal static TheoryData<string> All => [.. Names];

    internal static MachinePreset Named(string name) => MachinePreset.Named(Folder, name);

    /// <summary>The smallest pages that a machine maps.</summary>
    internal static GuestPages BasePagesOf(MachinePreset machine) =>
        machine["base_page"] > 4096 ? GuestPages.Pages64K : GuestPages.Pages4K;
}
