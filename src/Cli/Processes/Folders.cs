using System;
using System.IO;

namespace Quietus.Cli.Processes;

/// <summary>Where things are. The environment decides, so that the script, CI and tests can move them.</summary>
internal static class Folders
{
    /// <summary>
    /// The repository's root: <c>QUIETUS_HOME</c>, which the script sets, or the first folder upwards from the program
    /// or from here that has the solution in it; null when there is none.
    /// </summary>
    public static string? Home
    {
        get
        {
            string? set = Environment.GetEnvironmentVariable("QUIETUS_HOME");
            return string.IsNullOrEmpty(set)
                ? Upwards(AppContext.BaseDirectory) ?? Upwards(Environment.CurrentDirectory)
                : set;
        }
    }

    /// <summary>The hypervisor's image; it need not exist.</summary>
    public static string Image
    {
        get
        {
            string? set = Environment.GetEnvironmentVariable("QUIETUS_IMAGE");
            return string.IsNullOrEmpty(set)
                ? Path.Combine(Home ?? Environment.CurrentDirectory, "artifacts", "image", "quietus.img")
                : set;
        }
    }

    /// <summary>The program that measures KVM's guests, an ELF file beside the image; it need not exist.</summary>
    public static string KvmProbe
    {
        get
        {
            string? set = Environment.GetEnvironmentVariable("QUIETUS_KVM_PROBE");
            return string.IsNullOrEmpty(set)
                ? Path.Combine(Path.GetDirectoryName(Path.GetFullPath(Image)) ?? string.Empty, "kvm-probe.elf")
                : set;
        }
    }

    /// <summary>What was fetched or made once and is used again.</summary>
    public static string Cache
    {
        get
        {
            string? set = Environment.GetEnvironmentVariable("QUIETUS_CACHE");
            if (!string.IsNullOrEmpty(set))
            {
                return set;
            }

            string? xdg = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            return !string.IsNullOrEmpty(xdg)
                ? Path.Combine(xdg, "quietus")
                : Path.Combine(
                    Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "quietus");
        }
    }

    private static string? Upwards(string start)
    {
        for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Quietus.slnx")))
            {
                return folder.FullName;
            }
        }

        return null;
    }
}
