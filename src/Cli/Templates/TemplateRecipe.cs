using System;
using System.Collections.Generic;
using System.Linq;
using Quietus.Cli.Images;
using Quietus.Cli.Jobs;

namespace Quietus.Cli.Templates;

/// <summary>What a template is made of, and how programs start in its children; resolved.</summary>
internal sealed record TemplateRecipe
{
    private const string Path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>Where its root file system came from; null for Debian's busybox.</summary>
    public string? Image { get; init; }

    public required long MemoryBytes { get; init; }

    public required int Cpus { get; init; }

    /// <summary>Its VMs have a network.</summary>
    public bool HasNetwork { get; init; }

    /// <summary>Programs with their arguments that run before the freeze.</summary>
    public IReadOnlyList<IReadOnlyList<string>> WarmUp { get; init; } = [];

    /// <summary>Each NAME=VALUE.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    /// <summary>Who runs a program; empty is root.</summary>
    public string User { get; init; } = string.Empty;

    /// <summary>Where a program begins; empty is the user's home.</summary>
    public string WorkingFolder { get; init; } = string.Empty;

    /// <summary>What stands before every command, as the image says.</summary>
    public IReadOnlyList<string> EntryPoint { get; init; } = [];

    /// <summary>What runs where no command is given, as the image says.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>This recipe with what an image says of itself, where the recipe is silent.</summary>
    public TemplateRecipe With(ImageConfiguration image) => this with
    {
        Environment = Merge(image.Environment, Environment),
        User = User.Length > 0 ? User : image.User,
        WorkingFolder = WorkingFolder.Length > 0 ? WorkingFolder : image.WorkingFolder,
        EntryPoint = image.EntryPoint,
        Command = image.Command,
    };

    /// <summary>
    /// The order for a command: behind the image's entry point, with its environment and then what is given here. Null
    /// where there is no command to run.
    /// </summary>
    public JobOrder? Order(
        IReadOnlyList<string> command, IReadOnlyList<string> environment, string? user = null, string? folder = null,
        (int Rows, int Columns)? terminal = null)
    {
        IReadOnlyList<string> arguments = [.. EntryPoint, .. command.Count > 0 ? command : Command];
        return arguments.Count == 0 ? null : new JobOrder
        {
            Arguments = arguments,
            Environment = Merge(
                terminal is null ? [Path] : [Path, "TERM=xterm"], Merge(Environment, environment)),
            User = user ?? User,
            Folder = folder ?? WorkingFolder,
            Terminal = terminal,
        };
    }

    /// <summary>The orders of the warm-up, which no entry point stands before.</summary>
    public IReadOnlyList<JobOrder> WarmUpOrders() =>
        [.. WarmUp.Select(command => (this with { EntryPoint = [] }).Order(command, [])!)];

    /// <summary>Variables, where a later one of the same name takes an earlier one's place.</summary>
    private static List<string> Merge(IReadOnlyList<string> first, IReadOnlyList<string> then)
    {
        List<string> merged = [.. first];
        foreach (string variable in then)
        {
            string name = variable[..(variable.IndexOf('=', StringComparison.Ordinal) + 1)];
            merged.RemoveAll(earlier => earlier.StartsWith(name, StringComparison.Ordinal));
            merged.Add(variable);
        }

        return merged;
    }
}
