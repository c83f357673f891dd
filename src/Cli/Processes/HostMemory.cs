using System;
using System.Globalization;
using System.IO;

namespace Quietus.Cli.Processes;

/// <summary>How much memory this host can spare.</summary>
internal static class HostMemory
{
    /// <summary>
    /// Bytes that can be used without pushing others out: MemAvailable of /proc/meminfo (Linux 3.14 and later). Null
    /// where the kernel does not say.
    /// </summary>
    public static long? Available()
    {
        // Tests set it: what happens on a small host must be tested on any host.
        if (long.TryParse(
            Environment.GetEnvironmentVariable("QUIETUS_HOST_MEMORY_BYTES"),
            NumberStyles.None,
            CultureInfo.InvariantCulture,
            out long told))
        {
            return told;
        }

        return Read("MemAvailable:");
    }

    /// <summary>Bytes in all.</summary>
    public static long? Total() => Read("MemTotal:");

    private static long? Read(string key)
    {
        if (!File.Exists("/proc/meminfo"))
        {
            return null;
        }

        foreach (string line in File.ReadLines("/proc/meminfo"))
        {
            if (line.StartsWith(key, StringComparison.Ordinal))
            {
                string kilobytes = line[key.Length..].Replace("kB", string.Empty, StringComparison.Ordinal).Trim();
                return long.TryParse(kilobytes, NumberStyles.None, CultureInfo.InvariantCulture, out long value)
                    ? value * 1024
                    : null;
            }
        }

        return null;
    }
}
