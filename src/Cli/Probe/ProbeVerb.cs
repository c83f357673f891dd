using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Qemu;
using Quietus.Cli.Reports;
using Quietus.Wire;

namespace Quietus.Cli.Probe;

/// <summary>
/// <c>quietus probe</c>: what births and deaths of VMs cost on this host, and what would change that.
/// </summary>
internal static class ProbeVerb
{
    private static readonly JsonSerializerOptions _indented = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly Option<bool> _buildOnly = new("--build-only")
    {
        Description = "Build the two files that can be copied to a host, and say where they are",
    };

    private static readonly Value<IReadOnlyList<long>> _memory = Values.List(
        "--memory", "sizes", "Sizes of VMs [default: 64M,256M,1G, as far as half of the memory goes]", ReadMemory);

    private static readonly Value<IReadOnlyList<string>> _pages = Values.List(
        "--pages", "kinds", "4k, thp, hugetlb-2m, hugetlb-1g [default: what the host has]",
        text => OneOf(text, "--pages", ["4k", "thp", "hugetlb-2m", "hugetlb-1g"]));

    private static readonly string[] _wayNames =
        [.. Enum.GetValues<ProbeWay>().Where(ProbeWays.HasVm).Select(way => way.Name())];

    private static readonly Value<IReadOnlyList<string>> _ways = Values.List(
        "--ways", "ways", "close, kill, munmap, dontneed, slot, punch [default: all]",
        text => OneOf(text, "--ways", _wayNames));

    private static readonly Value<int?> _repeat = Values.Number(
        "--repeat", "Runs of each, after one that is not told", "number of runs", 1, 100, "5");

    private static readonly Option<bool> _alone = new("--alone")
    {
        Description = "Leave out the second VM and the deaths at once; --under qemu always does",
    };

    private static readonly Option<bool> _overHalf = new("--over-half")
    {
        Description = "Take more than half of the free memory",
    };

    private static readonly Value<string?> _under = Values.Choice(
        "--under", "machine", "Measure KVM of Debian's arm64 kernel under QEMU instead of this host: qemu", "machine",
        ["qemu"]);

    private static readonly Value<CpuModel> _cpu = CommonOptions.Cpu();

    private static readonly Value<string?> _from = Values.Text(
        "--from", "probe.json", "Measure nothing: show what the probe wrote elsewhere");

    private static readonly Value<TimeSpan?> _timeout = Values.Time("--timeout", "How long it may take [default: 30m]");

    private static readonly OutputOptions _outputs = new(ProbeResult.Schema);

    public static Command Make(CancellationToken cancellation)
    {
        var command = new Command("probe", "What births and deaths of VMs cost here, and what would change that")
        {
            _buildOnly, _memory, _pages, _ways, _repeat, _alone, _overHalf, _under, _cpu, _from, _timeout,
        };
        _outputs.AddTo(command);
        command.SetAction((result, _) => RunAsync(result, cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult result, CancellationToken cancellation)
    {
        Option[] measuring = [_memory, _pages, _ways, _repeat, _alone, _overHalf, _under, _cpu, _timeout];
        if (result.GetValue(_buildOnly))
        {
            CommonOptions.Refuse(
                result, [.. measuring, _from, .. _outputs.All], "beside --build-only", "it only builds");
            if (!Commands.OnlyValidates(result))
            {
                Console.Out.WriteLine(ProbeRunner.File(isArm64: true));
                Console.Out.WriteLine(ProbeRunner.File(isArm64: false));
            }

            return ExitCode.Ok;
        }

        if (_from.Of(result) is not null)
        {
            CommonOptions.Refuse(result, measuring, "beside --from", "it shows what was measured");
        }

        if (_cpu.IsGiven(result) && _under.Of(result) is null)
        {
            throw CliException.Usage("--cpu means nothing on this host", "it goes with --under qemu");
        }

        Outputs outputs = _outputs.Read(result);
        if (Commands.OnlyValidates(result))
        {
            return ExitCode.Ok;
        }

        ProbeResult probed = _from.Of(result) is { } file
            ? ProbeResult.Read(file)
            : ProbeResult.Parse("the probe's answer", await MeasureAsync(result, cancellation).ConfigureAwait(false));
        Show(outputs, probed);
        return ExitCode.Ok;
    }

    private static async Task<string> MeasureAsync(ParseResult result, CancellationToken cancellation)
    {
        TimeSpan limit = _timeout.Of(result) ?? TimeSpan.FromMinutes(30);
        bool isUnder = _under.Of(result) is not null;
        IReadOnlyList<long> sizes = _memory.Of(result, isUnder ? "64M" : "4M");
        IReadOnlyList<string> pages = isUnder ? _pages.Of(result, "4k") : _pages.Of(result) ?? [];
        List<string> arguments =
        [
            "--repeat", _repeat.Of(result, isUnder ? "1" : "5")!.Value.ToString(CultureInfo.InvariantCulture),
        ];
        Add("--memory", _memory.IsGiven(result) || isUnder, sizes.Select(ByteSize.FormatOption));
        Add("--pages", pages.Count > 0, pages);
        Add("--ways", _ways.IsGiven(result), _ways.Of(result) ?? []);
        AddFlag("--alone", isUnder || result.GetValue(_alone));
        AddFlag("--over-half", result.GetValue(_overHalf));
        if (!isUnder)
        {
            return await ProbeRunner.RunHereAsync(arguments, limit, cancellation).ConfigureAwait(false);
        }

        if (pages.Contains("hugetlb-1g"))
        {
            throw CliException.Usage("--under qemu has no pages of 1 GB", "take 4k, thp or hugetlb-2m");
        }

        return await ProbeRunner.RunUnderQemuAsync(
            arguments, _cpu.Of(result), sizes.Max(), pages, limit, cancellation)
            .ConfigureAwait(false);

        void Add(string name, bool isGiven, IEnumerable<string> values)
        {
            if (isGiven)
            {
                arguments.AddRange([name, string.Join(',', values)]);
            }
        }

        void AddFlag(string name, bool isGiven)
        {
            if (isGiven)
            {
                arguments.Add(name);
            }
        }
    }

    private static void Show(Outputs outputs, ProbeResult probed)
    {
        IReadOnlyList<ProbeAdvice> advice = ProbeAdvice.Of(probed);
        probed.Json["advice"] = new JsonArray([.. advice.Select(one => (JsonNode)new JsonObject
        {
            ["text"] = one.Text, ["evidence"] = one.Evidence,
        })]);
        string json = probed.Json.ToJsonString(_indented) + "\n";
        outputs.Write(
            "rows", stream => stream.Write(Encoding.UTF8.GetBytes(json)),
            writer => ProbeTable.Write(writer, probed, advice), () => ProbeReport.Make(probed, advice, json));
    }

    private static long ReadMemory(string text) =>
        ByteSize.TryParse(text, out long bytes) && bytes >= 4 * ByteSize.Megabyte && bytes <= CommonOptions.MostMemory
            && bytes % (2 * ByteSize.Megabyte) == 0
            ? bytes
            : throw CliException.Usage($"'{text}' is no size of a VM", "--memory takes 4M to 512G, in steps of 2M");

    private static string OneOf(string text, string option, string[] names) => Array.IndexOf(names, text) >= 0
        ? text
        : throw CliException.Usage(
            $"unknown value '{text}' for {option}", $"{option} takes {string.Join(", ", names)}");
}
