using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.IO;
using System.Linq;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.CommandLine;

/// <summary>Options that several verbs share, and how their values are read.</summary>
internal static class CommonOptions
{
    public const int MostCpus = 8;

    /// <summary>The largest VM: a 40-bit IPA space less what the devices take.</summary>
    public const long MostMemory = 512 * ByteSize.Gigabyte;

    private const long PageOfMemory = 2 * ByteSize.Megabyte;

    public static Option<string> Color { get; } = new("--color")
    {
        Description = "Colour in the output: auto, always or never (also NO_COLOR, CLICOLOR_FORCE)",
        DefaultValueFactory = _ => "auto",
        HelpName = "when",
        Recursive = true,
    };

    public static Option<string> Cpu() => new("--cpu")
    {
        Description = "CPU model: " + string.Join(", ", CpuModel.All.Select(model => model.Name)),
        DefaultValueFactory = _ => CpuModel.All[0].Name,
        HelpName = "model",
    };

    public static Option<string?> Timeout(string description) => new("--timeout")
    {
        Description = description,
        HelpName = "seconds",
    };

    public static Option<string> Cpus(int count) => new("--cpus")
    {
        Description = string.Create(CultureInfo.InvariantCulture, $"vCPUs of each VM, 1 to {MostCpus}"),
        DefaultValueFactory = _ => count.ToString(CultureInfo.InvariantCulture),
        HelpName = "n",
    };

    /// <summary>Splits an option's values at their commas.</summary>
    public static IReadOnlyList<string> Items(IEnumerable<string>? values, string option)
    {
        string[] items =
            [.. (values ?? []).SelectMany(value => value.Split(',')).Select(item => item.Trim())];
        return items.Length > 0 && items.All(item => item.Length > 0)
            ? items
            : throw CliException.Usage(
                $"{option} has an empty value", $"give {option} one value, or several with commas");
    }

    public static int ReadCpus(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count)
            && count is >= 1 and <= MostCpus
            ? count
            : throw CliException.Usage(
                $"'{text}' is no number of vCPUs",
                string.Create(CultureInfo.InvariantCulture, $"--cpus takes 1 to {MostCpus}"));

    public static long ReadMemory(string text)
    {
        if (!ByteSize.TryParse(text, out long bytes))
        {
            throw CliException.Usage($"'{text}' is no memory size", "write it as 64M, 256M or 1G");
        }

        if (bytes < 32 * ByteSize.Megabyte || bytes > MostMemory || bytes % PageOfMemory != 0)
        {
            throw CliException.Usage(
                $"a VM cannot have {text} of memory",
                "--memory takes 32M to 512G, in steps of 2M");
        }

        return bytes;
    }

    public static TimeSpan? ReadTimeout(string? text)
    {
        if (text is null)
        {
            return null;
        }

        return double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds)
            && seconds is > 0 and <= 1e6
            ? TimeSpan.FromSeconds(seconds)
            : throw CliException.Usage($"'{text}' is no time limit", "--timeout takes seconds, 300 for example");
    }

    public static string ReadGuest(string text) =>
        text is GuestPayload.Filler or GuestPayload.Linux
            ? text
            : throw CliException.Usage($"unknown guest '{text}'", "--guest takes linux or filler");

    /// <summary>The image's path; an error that says how to get one when it is not there.</summary>
    public static string FindImage()
    {
        string image = Folders.Image;
        return File.Exists(image)
            ? image
            : throw CliException.NotSupported(
                $"the hypervisor's image {image} has not been built", "./quietus builds it; see ./quietus doctor");
    }

    /// <summary>A usage error when the host cannot hold machines of these sizes at the same time.</summary>
    public static void CheckHostMemory(long needed)
    {
        if (HostMemory.Available() is long available && needed > available)
        {
            throw CliException.Usage(
                $"this needs {ByteSize.FormatMegabytes(needed)} of memory, "
                    + $"and the host has {ByteSize.FormatMegabytes(available)} to spare",
                "give less with --memory, or fewer --jobs");
        }
    }

    /// <summary>A usage error when a result cannot be written there; found out before, not after, the work.</summary>
    public static void CheckWritable(string? path, string option)
    {
        if (path is null)
        {
            return;
        }

        try
        {
            bool existed = File.Exists(path);
            using (new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write))
            {
            }

            if (!existed)
            {
                File.Delete(path);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException
            or NotSupportedException)
        {
            throw CliException.Usage($"{option}: '{path}' cannot be written: {error.Message}", "choose another file");
        }
    }
}
