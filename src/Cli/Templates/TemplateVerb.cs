using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Templates;

/// <summary><c>quietus template</c>: recipes of templates, booted once to see that they work, and kept.</summary>
internal static class TemplateVerb
{
    private const string Build = "build";
    private const string List = "list";
    private const string Remove = "remove";

    private static readonly TextColumn<TemplateEntry>[] _columns =
    [
        new("template", 20, true, entry => entry.Name),
        new("memory", 8, false, entry => ByteSize.Format(entry.MemoryBytes)),
        new("vCPUs", 5, false, entry => entry.Cpus.ToString(CultureInfo.InvariantCulture)),
        new("boot", 8, false, entry => Duration.Format(entry.BootNs)),
        new("kept", 8, false, entry => ByteSize.FormatMegabytes(entry.ImageBytes)),
        new("network", 7, true, entry => CommonOptions.NetworkOf(entry.HasNetwork)),
        new("image", 20, true, entry => entry.Image is { } image ? Path.GetFileName(image.TrimEnd('/')) : "busybox"),
    ];

    private static readonly Argument<string> _action = new("action")
    {
        Description = "build, list or remove",
    };

    private static readonly Argument<string?> _name = new("name")
    {
        Description = "The template's name, for build and remove",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Value<string?> _file =
        Values.Text("--file", "file.json", "What it is made of (docs/templates.md); without it, Debian's busybox");

    private static readonly Value<CpuModel> _cpu = CommonOptions.Cpu();

    private static readonly Value<TimeSpan?> _limit =
        Values.Time("--boot-timeout", "How long it may take until it is frozen [default: 2m]");

    private static readonly Value<string?> _network = CommonOptions.Network(standard: null);

    private static readonly Option<bool> _json = new("--json") { Description = "The list as JSON on stdout" };

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("template", "Build, list and remove templates that exec and serve start from")
        {
            _action, _name, _file, _cpu, _limit, _network, _json,
        };
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        string action = result.GetValue(_action)!;
        string? name = result.GetValue(_name);
        switch (action)
        {
            case Build when name is not null:
                return await BuildAsync(TemplateStore.CheckName(name), result, cancellation).ConfigureAwait(false);
            case List when name is null:
                if (!Commands.OnlyValidates(result))
                {
                    WriteList(result.GetValue(_json));
                }

                return ExitCode.Ok;
            case Remove when name is not null:
                if (!Commands.OnlyValidates(result))
                {
                    TemplateStore.Remove(name);
                }

                return ExitCode.Ok;
            default:
                throw CliException.Usage(
                    $"template cannot do this: '{Printable.Line($"{action} {name}".Trim())}'",
                    "template build NAME --file FILE, template list, template remove NAME");
        }
    }

    private static async Task<int> BuildAsync(string name, ParseResult result, CancellationToken cancellation)
    {
        TemplateRecipe recipe = _file.Of(result) is { } file
            ? TemplateFile.Read(file)
            : new TemplateFile().Resolve(".");
        if (_network.Of(result) is { } network)
        {
            recipe = recipe with { HasNetwork = CommonOptions.HasNetwork(network) };
        }

        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        using var folder = new RunFolder();
        PreparedTemplate template = PreparedTemplate.Make(recipe, folder.Path);
        TemplatePlan plan = template.Plan(1, _cpu.Of(result), _limit.Of(result) ?? TimeSpan.FromMinutes(2));
        CommonOptions.CheckHostMemory(plan.MachineMemory);
        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        long begun = Stopwatch.GetTimestamp();
        TemplateMachine machine = await TemplateMachine.StartAsync(
            plan, qemu, CommonOptions.FindImage(), folder, cancellation).ConfigureAwait(false);
        await machine.DisposeAsync().ConfigureAwait(false);
        long bootNs = (long)Stopwatch.GetElapsedTime(begun).TotalNanoseconds;
        TemplateEntry entry = TemplateStore.Save(name, template, bootNs);
        Notice.Write($"{name} was ready after {Duration.Format(bootNs)}; kept: its recipe and "
            + $"{ByteSize.FormatMegabytes(entry.ImageBytes)} of image, from which a machine makes it again");
        return ExitCode.Ok;
    }

    private static void WriteList(bool isJson)
    {
        IReadOnlyList<TemplateEntry> entries = TemplateStore.List();
        if (isJson)
        {
            using Stream output = StandardStreams.OpenOutput();
            new TemplatesDocument(entries).Write(output);
            return;
        }

        if (entries.Count == 0)
        {
            Notice.Write("there are no templates; ./quietus template build NAME makes one");
            return;
        }

        TextTable.Write(Console.Out, _columns, entries);
    }
}

/// <summary>The list for programs.</summary>
internal sealed record TemplatesDocument(IEnumerable<TemplateEntry> Templates) : Document("quietus.templates/1");
