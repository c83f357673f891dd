using System;
using System.Collections.Generic;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Bench.Kvm;

/// <summary>
/// Reads what the probe prints on the console of its Linux. Anything may come: lines that are not the probe's are kept
/// for error messages and mean nothing; a line of the probe's that makes no sense is an error, never a figure.
/// </summary>
/// <param name="what">What it measures, for errors.</param>
internal abstract class KvmProbeLines(string what)
{
    private const string Mark = "quietus-kvm: ";
    private const int MostLine = 1024;
    private const int MostKept = 40;

    private readonly StringBuilder _line = new();
    private readonly Queue<string> _console = new();

    /// <summary>True when the probe has said that it is done, and has reported everything.</summary>
    public bool IsDone { get; private set; }

    /// <summary>The kernel's release; empty until the probe has said it.</summary>
    public string KernelRelease { get; private set; } = string.Empty;

    public long EmptyInstructions { get; private set; }

    /// <summary>The last lines of the console, for a person to read.</summary>
    public string Console => string.Join('\n', _console);

    /// <summary>Measurements that have come.</summary>
    public abstract int Count { get; }

    /// <summary>Measurements that there are.</summary>
    public abstract int Expected { get; }

    /// <summary>The word that a measurement's line begins with.</summary>
    protected abstract string RowVerb { get; }

    /// <summary>What is measured, for errors.</summary>
    public string What => what;

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

    /// <summary>Takes a measurement.</summary>
    protected abstract void TakeRow(KeyValueLine line);

    /// <summary>Names what is missing when the probe says that it is done.</summary>
    protected abstract IReadOnlyList<string> Missing();

    /// <summary>A figure of a line.</summary>
    protected long Number(KeyValueLine line, ReadOnlySpan<byte> key) =>
        line.TryNumber(key) is long number and >= 0 ? number : throw Nonsense(line.Text);

    protected CliException Nonsense(string text) => new(
        ExitCode.Failed,
        $"{what}: the probe's line makes no sense: '{Printable.Line(text)}'",
        "build the probe again: ./quietus does it",
        Console);

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
            case { } verb when verb == RowVerb && KernelRelease.Length > 0:
                TakeRow(line);
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

    private void Finish()
    {
        if (Missing() is { Count: > 0 } missing)
        {
            throw new CliException(
                ExitCode.Failed,
                $"{what}: the probe says that it is done, and has not measured " + string.Join(", ", missing),
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
}
