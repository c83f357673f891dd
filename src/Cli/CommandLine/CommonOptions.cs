using System.Collections.Generic;
using System.CommandLine;
using System.IO;
using System.Linq;
using Quietus.Cli.Guests;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.CommandLine;

/// <summary>Options that several verbs share.</summary>
internal static class CommonOptions
{
    /// <summary>A VM without a network.</summary>
    public const string NoNetwork = "none";

    /// <summary>A VM that reaches what its host can.</summary>
    public const string UserNetwork = "user";

    public const int MostCpus = 8;

    /// <summary>The largest VM: a 40-bit IPA space less what the devices take.</summary>
    public const long MostMemory = 512 * ByteSize.Gigabyte;

    private const long PageOfMemory = 2 * ByteSize.Megabyte;

    public static Value<string?> Color { get; } = Recursive(Values.Choice(
        "--color", "when", "Colour in the output: auto, always or never (also NO_COLOR, CLICOLOR_FORCE)", "colour",
        ["auto", "always", "never"], "auto"));

    public static Option<bool> Quiet { get; } = new("--quiet", "-q")
    {
        Description = "Neither progress nor notes on stderr; errors stay",
        Recursive = true,
    };

    public static Value<CpuModel> Cpu() => new(
        "--cpu", "model", "CPU model: " + string.Join(", ", CpuModel.All.Select(model => model.Name)), CpuModel.Parse,
        CpuModel.All[0].Name);

    public static Value<int?> Cpus(string standard) =>
        Values.Number("--cpus", $"vCPUs of each VM, 1 to {MostCpus}", "number of vCPUs", 1, MostCpus, standard);

    /// <summary>A VM's network; <see cref="HasNetwork"/> reads it.</summary>
    public static Value<string?> Network(string? standard = NoNetwork) => Values.Choice(
        "--network", "kind",
        "The VM's network: none, or user for what this host can reach, but not the host itself"
            + (standard is null ? " [default: the template's, or none]" : string.Empty),
        "network", [NoNetwork, UserNetwork], standard);

    /// <summary>Whether a VM has a network.</summary>
    public static bool HasNetwork(string? kind) => kind == UserNetwork;

    /// <summary>How a VM with a network, or without one, is spelt.</summary>
    public static string NetworkOf(bool hasNetwork) => hasNetwork ? UserNetwork : NoNetwork;

    /// <summary>Policies, in the order of the story.</summary>
    public static Value<IReadOnlyList<MaintenancePolicy>> Policies(string standard)
    {
        var option = new Value<IReadOnlyList<MaintenancePolicy>>(
            "--policies", "names",
            "Which of " + string.Join(", ", MaintenancePolicy.All.Select(policy => policy.Name)) + "; or all",
            text => MaintenancePolicy.ParseList(Values.Items(text, "--policies")), standard);
        option.Aliases.Add("--policy");
        return option;
    }

    /// <summary>Sizes of VMs, with commas.</summary>
    public static Value<IReadOnlyList<long>> MemoryList(string description, string standard) =>
        Values.List("--memory", "sizes", description, ReadMemory, standard);

    public static long ReadMemory(string text)
    {
        if (!ByteSize.TryParse(text, out long bytes))
        {
            throw CliException.Usage($"'{text}' is no memory size", "write it as 64M, 256M or 1.5G");
        }

        if (bytes < 32 * ByteSize.Megabyte || bytes > MostMemory || bytes % PageOfMemory != 0)
        {
            throw CliException.Usage(
                $"a VM cannot have {text} of memory",
                "--memory takes 32M to 512G, in steps of 2M");
        }

        return bytes;
    }

    public static string ReadGuest(string text) =>
        text is GuestPayload.Filler or GuestPayload.Linux
            ? text
            : throw CliException.Usage($"unknown guest '{text}'", "--guest takes linux or filler");

    /// <summary>A usage error for the first option that was given and says nothing here.</summary>
    public static void Refuse(ParseResult result, IEnumerable<Option> options, string where, string next)
    {
        if (options.FirstOrDefault(option => result.GetResult(option) is { Implicit: false }) is { } useless)
        {
            throw CliException.Usage($"{useless.Name} means nothing {where}", next);
        }
    }

    /// <summary>Whether one of these options was given.</summary>
    public static bool AnyGiven(ParseResult result, IEnumerable<Option> options) =>
        options.Any(option => result.GetResult(option) is { Implicit: false });

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

    private static Value<string?> Recursive(Value<string?> option)
    {
        option.Recursive = true;
        return option;
    }
}
