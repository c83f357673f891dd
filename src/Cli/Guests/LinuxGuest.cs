using System;
using System.IO;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Guests;

/// <summary>The Linux guest that the set-up script puts into the cache.</summary>
/// <param name="Kernel">Path of an arm64 Image.</param>
/// <param name="Initrd">Path of its initial RAM disk.</param>
/// <param name="Version">One line that names the kernel and where it is from.</param>
internal sealed record LinuxGuest(string Kernel, string Initrd, string Version)
{
    /// <summary>The guest in the cache, or null when there is none.</summary>
    public static LinuxGuest? Cached()
    {
        string folder = Path.Combine(Folders.Cache, "linux");
        string kernel = Path.Combine(folder, "Image");
        string initrd = Path.Combine(folder, "initrd");
        string version = Path.Combine(folder, "version");
        if (!File.Exists(kernel) || !File.Exists(initrd))
        {
            return null;
        }

        string line = File.Exists(version) ? File.ReadAllText(version).Split('\n', 2)[0].Trim() : string.Empty;
        return new LinuxGuest(kernel, initrd, line.Length > 0 ? line : "unknown version");
    }
}
