using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Quietus.Oracle.Recording;

/// <summary>The traces of the corpus, by name; they are built in.</summary>
public static class Scenarios
{
    private const string Prefix = "scenario.";

    /// <summary>Their names, in order.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        .. typeof(Scenarios).Assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
            .Select(name => name[Prefix.Length..])
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>A trace's bytes; null where there is none of that name.</summary>
    public static Stream? Open(string name) => typeof(Scenarios).Assembly.GetManifestResourceStream(Prefix + name);

    /// <summary>What a scenario is about: the comment that it begins with.</summary>
    public static string About(string name)
    {
        using var reader = new StreamReader(Open(name)!);
        reader.ReadLine();
        return reader.ReadLine()!.TrimStart('#', ' ');
    }
}
