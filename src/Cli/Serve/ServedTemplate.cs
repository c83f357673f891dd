using System.Collections.Generic;
using System.IO;
using System.Linq;
using Quietus.Cli.Templates;

namespace Quietus.Cli.Serve;

/// <summary>
/// A template by its name, as a server can hold it: one that was built, or Debian's busybox, which needs no building.
/// </summary>
internal static class ServedTemplate
{
    /// <summary>What <c>exec</c> runs in where it is given no image.</summary>
    public const string Busybox = "busybox";

    /// <summary>The same with a network.</summary>
    public const string BusyboxOnline = "busybox-online";

    /// <summary>Whether it needs no building, and none was built in its place.</summary>
    public static bool IsBuiltIn(string name) => name is Busybox or BusyboxOnline && !TemplateStore.Has(name);

    /// <summary>Whether there is such a template, and whether its VMs have a network; null for neither.</summary>
    public static bool? HasNetwork(string name) => TemplateStore.Find(name) is { } built
        ? built.HasNetwork
        : name switch { Busybox => false, BusyboxOnline => true, _ => null };

    /// <summary>All that there are.</summary>
    public static IReadOnlyList<string> Names(bool mayHaveNetwork) =>
    [
        .. TemplateStore.List().Select(entry => entry.Name).Append(Busybox).Append(BusyboxOnline).Distinct()
            .Where(name => mayHaveNetwork || HasNetwork(name) == false),
    ];

    /// <summary>All that a machine for it needs, written into a folder of this process's own.</summary>
    public static PreparedTemplate Prepare(string name, string folder)
    {
        Directory.CreateDirectory(folder);
        if (IsBuiltIn(name))
        {
            var bare = new TemplateRecipe { MemoryBytes = 0, Cpus = 1, HasNetwork = name == BusyboxOnline };
            return PreparedTemplate.Make(bare, folder);
        }

        (TemplateEntry entry, StoredImage image) = TemplateStore.Load(name);
        return PreparedTemplate.Of(entry.Recipe(), image, folder);
    }
}
