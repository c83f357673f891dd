using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Quietus.Stage2;

namespace Quietus.Traces.Tests;

/// <summary>
/// A piece of a trace, with what has to be read from it in the lines that begin with "#= "; "bytes" says what becomes
/// of it before it is read: it gets line ends of Windows, or its end is cut off. The pieces were written for these
/// tests, after what the programs write; none is copied from a host.
/// </summary>
internal sealed class Snippet
{
    private readonly Dictionary<string, string> _expected;

    private Snippet(string name, byte[] bytes)
    {
        Name = name;
        _expected = File.ReadLines(PathOf(name))
            .Where(line => line.StartsWith("#= ", StringComparison.Ordinal))
            .Select(line => line[3..].Split(": ", 2))
            .ToDictionary(pair => pair[0].TrimEnd(':'), pair => pair.Length > 1 ? pair[1] : string.Empty);
        Bytes = _expected.GetValueOrDefault("bytes") switch
        {
            "crlf" => Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(bytes).ReplaceLineEndings("\r\n")),
            "cut" => bytes[..^10],
            _ => bytes,
        };
    }

    public string Name { get; }

    public byte[] Bytes { get; }

    /// <summary>A part of the message with which it has to be refused; null where it is read.</summary>
    public string? Error => _expected.GetValueOrDefault("error");

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Snippets");

    public static IEnumerable<string> Names =>
        Directory.GetFiles(Folder).Select(path => Path.GetFileNameWithoutExtension(path)!)
            .Order(StringComparer.Ordinal);

    public static Snippet Read(string name) => new(name, File.ReadAllBytes(PathOf(name)));

    /// <summary>What is expected, with the defaults for what goes without saying.</summary>
    public string Expected() => string.Join('\n', Keys.Select(key => $"{key}: {Expected(key)}"));

    /// <summary>What was read, in the words of the expectation.</summary>
    public static string Describe(HostTrace trace)
    {
        TraceCounts counts = trace.Counts;
        var found = new Dictionary<string, string>
        {
            ["operations"] = string.Join("; ", trace.Operations.Select(Describe)),
            ["used"] = $"{counts.Used}",
            ["others"] = string.Join(' ', counts.OtherNames.OrderBy(other => other.Name, StringComparer.Ordinal)
                .Select(other => $"{other.Name}={other.Count}").Order(StringComparer.Ordinal)),
            ["lost"] = $"{counts.Lost}",
            ["foreign"] = $"{counts.Foreign}",
            ["stack"] = $"{counts.StackLines}",
            ["clockless"] = $"{counts.Clockless}",
            ["cut"] = counts.LastLineIsCut ? "true" : "false",
            ["x86"] = counts.IsX86 ? "true" : "false",
            ["unmapping"] = Describe(trace.Unmapping),
            ["death"] = Describe(trace.Death),
        };
        return string.Join('\n', Keys.Select(key => $"{key}: {found[key]}"));
    }

    /// <summary>Reads it as the command line does.</summary>
    public HostTrace Read()
    {
        using var stream = new MemoryStream(Bytes);
        return TraceReader.Read(
            stream, CancellationToken.None,
            _expected.TryGetValue("pid", out string? pid) ? int.Parse(pid, null) : null);
    }

    /// <summary>The processes of its VMs; null where the snippet does not say.</summary>
    public string? Vms => _expected.GetValueOrDefault("vms");

    private static string[] Keys =>
    [
        "operations", "used", "others", "lost", "foreign", "stack", "clockless", "cut", "x86", "unmapping", "death",
    ];

    private static string PathOf(string name) => Path.Combine(Folder, name + ".txt");

    private string Expected(string key) => _expected.TryGetValue(key, out string? value) ? value : key switch
    {
        "cut" or "x86" => "false",
        // Each life unmaps one page; what KVM/x86 invalidates is not traced.
        "unmapping" => Expected("x86") == "true" || Expected("operations").EndsWith(" rw", StringComparison.Ordinal)
            ? "-"
            : "tlbi 1",
        "death" => "-",
        _ => "0",
    };

    private static string Describe(TracedMaintenance maintenance)
    {
        List<string> parts = [];
        Add("tlbi", maintenance.LeafTlbi + maintenance.TableTlbi);
        Add("range", maintenance.RangeTlbi);
        Add("vmid", maintenance.VmidTlbi);
        Add("cleaned", maintenance.Cleanings);
        return parts.Count == 0 ? "-" : string.Join(' ', parts);

        void Add(string what, long count)
        {
            if (count > 0)
            {
                parts.Add($"{what} {count}");
            }
        }
    }

    private static string Describe(TraceOperation operation)
    {
        string range = $"{operation.Start.Value:x}+{operation.Bytes:x}";
        string output = operation.Output.Value == 0 ? string.Empty : $">{operation.Output.Value:x}";
        string permits = string.Concat(
            Letter(TraceProtection.Read, "r"), Letter(TraceProtection.Write, "w"),
            Letter(TraceProtection.Execute, "x"), Letter(TraceProtection.Device, "d"));
        return operation.Kind switch
        {
            TraceOperationKind.Map => $"map {range}{output} {permits}",
            TraceOperationKind.Relax => $"relax {range}{output} {permits}",
            TraceOperationKind.UnmapByNotifier => $"unmap {range}",
            TraceOperationKind.UnmapBySlotRemoval => $"slot {range}",
            _ => "release",
        };

        string Letter(TraceProtection bit, string letter) => (operation.Protection & bit) != 0 ? letter : string.Empty;
    }
}
