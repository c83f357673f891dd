using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Sim;
using Quietus.Simulator;

namespace Quietus.Cli.Probe;

/// <summary>The preset that a calibration makes: quietus.machine/1, each figure with where it comes from.</summary>
internal static class CalibratedPreset
{
    private const string Standard = "mine";

    private static readonly JsonSerializerOptions _indented = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>
    /// The machine that a fit starts from: one of ours, with the probed host's topology and features.
    /// </summary>
    public static MachinePreset StartFor(ProbeResult probed)
    {
        try
        {
            return probed.HostValue("architecture") switch
            {
                "aarch64" => Arm64(probed),
                "x86_64" => Sized(MachinePreset.Named(Machines.OthersFolder, "xeon"), probed),
                string other => throw CliException.Usage(
                    $"the probe's host is of architecture '{Plain(other)}'",
                    "there are machines of aarch64 and x86_64"),
            };
        }
        catch (PresetException error)
        {
            throw CliException.Usage($"the probed host cannot be: {error.Problem}", error.Remedy);
        }
    }

    /// <summary>The document's text. The name has to be that of the file that it goes into.</summary>
    public static string Write(HostCalibration fit, ProbeResult probed, string name)
    {
        var json = new JsonObject
        {
            ["schema"] = "quietus.machine/1",
            ["name"] = name,
            ["title"] = string.Create(
                CultureInfo.InvariantCulture,
                $"{Plain(probed.HostValue("cpu"))}, Linux {Plain(probed.HostValue("kernel"))}, calibrated by a probe; "
                    + $"rows held out are missed by {fit.Worst * 100:0} % at most"
                    + $"{(fit.IsGood ? string.Empty : ": a bad fit")}"),
        };
        if (!fit.Machine.IsArm64)
        {
            json["architecture"] = fit.Machine.Architecture;
        }

        foreach (IGrouping<string, Figure> group in fit.Machine.Figures.GroupBy(figure => figure.Group))
        {
            var figures = new JsonObject();
            foreach (Figure figure in group)
            {
                figures[figure.Key] = Describe(figure, fit);
            }

            json[group.Key] = figures;
        }

        return json.ToJsonString(_indented) + "\n";
    }

    /// <summary>The name of the file that stdout goes into, without its extension.</summary>
    public static string NameOfOutput()
    {
        try
        {
            string? target = File.ResolveLinkTarget("/proc/self/fd/1", returnFinalTarget: false)?.FullName;
            string name = target is not null && target.EndsWith(".json", StringComparison.Ordinal)
                ? Path.GetFileNameWithoutExtension(target)
                : Standard;
            return name.Length > 0 ? name : Standard;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return Standard;
        }
    }

    private static JsonObject Describe(Figure figure, HostCalibration fit)
    {
        bool isFitted = fit.Fitted.TryGetValue(figure.Key, out string? rows);

        // What is no cost, or one that the architecture has not, is what it was.
        bool isTold = figure.Unit != FigureUnit.Nanoseconds || (figure.Value == 0 && figure.Low == figure.High);
        var json = new JsonObject
        {
            ["value"] = figure.Unit == FigureUnit.Flag ? JsonValue.Create(figure.Value != 0) : figure.Value,
            ["unit"] = figure.Unit switch
            {
                FigureUnit.Nanoseconds => "ns",
                FigureUnit.Bytes => "bytes",
                FigureUnit.Flag => "flag",
                _ => "count",
            },
            ["source"] = isFitted ? $"fitted to a probe's {rows}"
                : isTold ? figure.Source
                : figure.Key == "dc_line_remote" && fit.Fitted.ContainsKey("dc_line_local")
                    ? $"assumption: as much above dc_line_local as {fit.Base} has it"
                : $"assumption: as {fit.Base}",
        };
        bool hasRange = figure.Low < figure.High;
        if (!isFitted && (hasRange || !isTold))
        {
            // A figure that was known of another machine is an assumption here, within twice as much and half of it.
            json["range"] = hasRange
                ? new JsonArray(figure.Low, figure.High)
                : new JsonArray(figure.Value / 2, figure.Value * 2);
        }

        return json;
    }

    private static MachinePreset Arm64(ProbeResult probed)
    {
        MachinePreset start = Sized(MachinePreset.Named(Machines.Folder, "modern"), probed);
        foreach ((string key, string host) in new[]
        {
            ("forced_write_back", "forced_write_back"), ("range_tlbi", "range_tlbi"), ("level_hint", "level_hint"),
            ("coherent_icache", "dic"),
        })
        {
            start = start.With(key, probed.HostFlag(host) ? 1 : 0, "probe: the host's own");
        }

        return start;
    }

    private static MachinePreset Sized(MachinePreset machine, ProbeResult probed)
    {
        const long block = 1 << 21;
        int sockets = Whole(probed, "sockets", 1, 16);
        int pes = Math.Max(1, Whole(probed, "cpus", 1, 4096) / sockets) * sockets;

        // Room for the largest VM also where the probe told no memory, or less.
        long told = Math.Max(
            Whole(probed, "memory_bytes", 1L << 30, 1L << 42),
            2 * probed.Rows.Select(row => row.MemoryBytes).DefaultIfEmpty(0).Max());
        double memory = Math.Min(told, 1L << 42) / (block * sockets) * (block * sockets);
        return machine.With("pes_per_cluster", 1, "probe: not told, each by itself").With("sockets", 1, "fit")
            .With("pes", pes, "probe: the CPUs that it may use").With("sockets", sockets, "probe: the host's own")
            .With("memory", memory, "probe: the host's own, with room for the VMs");
    }

    private static int Whole(ProbeResult probed, string key, int least, int most) =>
        (int)Whole(probed, key, (long)least, most);

    private static long Whole(ProbeResult probed, string key, long least, long most) =>
        long.TryParse(probed.HostValue(key), NumberStyles.None, CultureInfo.InvariantCulture, out long value)
            ? Math.Clamp(value, least, most)
            : least;

    private static string Plain(string text) => Terminals.Printable.Line(text);
}
