using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Terminals;
using Quietus.Wire;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>
/// Makes rows of what the probe prints on the console of its Linux. Anything may come: lines that are not the probe's
/// are kept for error messages and mean nothing; a line of the probe's that makes no sense is an error, never a row.
/// </summary>
internal sealed class KvmProbeReader(KvmCase what)
{
    private const string Mark = "quietus-kvm: ";
    private const int MostLine = 1024;
    private const int MostKept = 40;

    /// <summary>
    /// The least part of what was written that must be free afterwards. The kernel keeps up to some megabytes of freed
    /// pages on lists of its processors, which it does not count as free.
    /// </summary>
    private const double LeastFreed = 0.9;


    /// <summary>All that it has to report.</summary>
    public static readonly KvmWay[] Ways = Enum.GetValues<KvmWay>();

    private readonly StringBuilder _line = new();
    private readonly Queue<string> _console = new();
    private readonly List<KvmRow> _rows = [];

    /// <summary>True when the probe has said that it is done, and has reported every way.</summary>
    public bool IsDone { get; private set; }

    /// <summary>The kernel's release; empty until the probe has said it.</summary>
    public string KernelRelease { get; private set; } = string.Empty;

    public long EmptyInstructions { get; private set; }

    public IReadOnlyList<KvmRow> Rows => _rows;

    /// <summary>The last lines of the console, for a person to read.</summary>
    public string Console => string.Join('\n', _console);

    /// <summary>Takes bytes as they come; true when a line of the probe's was among them.</summary>
    public bool Feed(ReadOnlySpan<byte> bytes)
    {
        bool heard = false;
        foreach (byte value in bytes)
        {
            if (value == '\n')
            {
                heard |= Take(_line.ToString().TrimEnd('\r'));
                _line.Clear();
            }
            else if (_line.Length < MostLine)
            {
                _line.Append((char)value);
            }
        }

        return heard;
    }

    /// <summary>Whether the host's pages are freed on that way, too.</summary>
    internal static bool FreesPages(KvmWay way) => way is not (KvmWay.Close or KvmWay.SlotRemoval);

    private bool Take(string text)
    {
        _console.Enqueue(text);
        if (_console.Count > MostKept)
        {
            _console.Dequeue();
        }

        int at = text.IndexOf(Mark, StringComparison.Ordinal);
        if (at < 0 || IsDone)
        {
            return false;
        }

        KeyValueLine line = KeyValueLine.Parse(text[(at + Mark.Length)..]);
        switch (line.Verb)
        {
            case "probe":
                Introduce(line);
                break;
            case "row":
                _rows.Add(ReadRow(line));
                break;
            case "error":
                throw Failure(line);
            case "done":
                Finish();
                break;
            default:
                throw Nonsense(text);
        }

        return true;
    }

    private void Introduce(KeyValueLine line)
    {
        string protocol = line.Value("protocol") ?? "none";
        if (protocol != "1")
        {
            throw new CliException(
                ExitCode.Failed,
                $"{what}: the probe speaks protocol {Printable.Line(protocol)}, this program speaks 1",
                "build the probe again: ./quietus does it");
        }

        KernelRelease = Printable.Line(line.Value("kernel") ?? "unknown");
        EmptyInstructions = Number(line, "empty_instructions"u8);
    }

    private KvmRow ReadRow(KeyValueLine line)
    {
        string? name = line.Value(DeathFields.Way);
        KvmWay way = Array.Find(Ways, known => known.Name() == name);
        if (KernelRelease.Length == 0 || way.Name() != name || _rows.Exists(row => row.Way == way))
        {
            throw Nonsense(line.Text);
        }

        var row = new KvmRow
        {
            Case = what,
            Way = way,
            MappedPages4K = Number(line, DeathFields.MappedPages4K),
            MappedBlocks2M = Number(line, DeathFields.MappedBlocks2M),
            Instructions = Number(line, DeathFields.Instructions),
            VirtualNanoseconds = Number(line, DeathFields.VirtualNanoseconds),
            FreedBytes = Number(line, DeathFields.FreedBytes),
        };
        long most = what.FillBytes / 4096;
        if (row.MappedPages4K > most || row.MappedBlocks2M > most || row.Entries == 0 || row.Instructions == 0)
        {
            throw Nonsense(line.Text);
        }

        if (FreesPages(way) && row.FreedBytes < LeastFreed * what.FillBytes)
        {
            throw new CliException(
                ExitCode.Failed,
                $"{what} {way.Name()}: only {row.FreedBytes} of {what.FillBytes} bytes were free again at its end",
                "the figure would be no death's; please report it",
                Console);
        }

        return row;
    }

    private void Finish()
    {
        if (Array.Exists(Ways, way => !_rows.Exists(row => row.Way == way)))
        {
            throw new CliException(
                ExitCode.Failed,
                $"{what}: the probe says that it is done, and has not measured "
                    + string.Join(", ", Ways.Except(_rows.Select(row => row.Way)).Select(way => way.Name())),
                "please report it",
                Console);
        }

        IsDone = true;
    }

    private CliException Failure(KeyValueLine line)
    {
        string failed = Printable.Line(line.Value("what") ?? "something");
        string value = Printable.Line(line.Value("value") ?? string.Empty);
        string number = Printable.Line(line.Value("number") ?? string.Empty);
        string message = $"{what}: the probe failed: {failed}{(value.Length > 0 ? $" '{value}'" : "")} ({number})";
        return failed switch
        {
            "opening /dev/kvm" => CliException.NotSupported(
                $"{what}: this kernel has no KVM that works: opening /dev/kvm fails with errno {number}",
                "build/fetch-linux-guest --refresh fetches Debian's newest kernel, which has one"),
            "counting instructions (perf_event_open)" => CliException.NotSupported(
                message, "the kernel or QEMU has no performance counters, without which there is nothing to compare"),
            _ => new CliException(ExitCode.Failed, message, "the number is Linux's errno where a call failed", Console),
        };
    }

    private long Number(KeyValueLine line, ReadOnlySpan<byte> key) =>
        line.TryNumber(key) is long number and >= 0 ? number : throw Nonsense(line.Text);

    private CliException Nonsense(string text) => new(
        ExitCode.Failed,
        $"{what}: the probe's line makes no sense: '{Printable.Line(text)}'",
        "build the probe again: ./quietus does it",
        Console);
}
