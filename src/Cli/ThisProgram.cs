using System.Reflection;

namespace Quietus.Cli;

/// <summary>Facts about this program.</summary>
internal static class ThisProgram
{
    /// <summary>The version, as the build was told.</summary>
    public static string Version { get; } =
        typeof(ThisProgram).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()
            ?.InformationalVersion ?? "unknown";
}
