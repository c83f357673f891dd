using System;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Qemu;

/// <summary>The QEMU that is used: where it is and which version it says it is.</summary>
/// <param name="Path">Absolute path of the program.</param>
/// <param name="Version">For example <c>7.2.22</c>.</param>
/// <param name="VersionLine">The whole first line of <c>--version</c>.</param>
internal sealed partial record QemuBinary(string Path, string Version, string VersionLine)
{
    /// <summary>The program's name on every distribution.</summary>
    public const string Name = "qemu-system-aarch64";

    /// <summary>The first release whose virt board knows <c>dtb-randomness</c>, without which boots differ.</summary>
    public static readonly Version Oldest = new(7, 1);

    private const string Install = "apt-get install qemu-system-arm, or ./quietus doctor for what else is missing";
    private static readonly TimeSpan _versionLimit = TimeSpan.FromSeconds(15);

    /// <summary>True when the release is one that this program was made for.</summary>
    public bool IsSupported => System.Version.TryParse(Version, out Version? version) && version >= Oldest;

    /// <summary>
    /// Where QEMU is: <c>QUIETUS_QEMU</c> when set, else the first on PATH; null when there is none.
    /// </summary>
    public static string? Locate()
    {
        string? set = Environment.GetEnvironmentVariable("QUIETUS_QEMU");
        return string.IsNullOrEmpty(set) ? Programs.Find(Name) : Programs.Find(set);
    }

    /// <summary>Finds QEMU and asks for its version; an error that names the package when it cannot be used.</summary>
    public static async Task<QemuBinary> FindAsync(CancellationToken cancellation)
    {
        string? set = Environment.GetEnvironmentVariable("QUIETUS_QEMU");
        string path = Locate() ?? throw CliException.NotSupported(
            string.IsNullOrEmpty(set)
                ? $"{Name} is not installed"
                : $"QUIETUS_QEMU names '{set}', which is no program",
            string.IsNullOrEmpty(set) ? Install : $"unset QUIETUS_QEMU, or let it name a {Name}");
        string output = await AskVersionAsync(path, cancellation).ConfigureAwait(false);
        string line = output.Split('\n', 2)[0].Trim();
        Match match = VersionPattern().Match(line);
        if (!match.Success)
        {
            throw CliException.NotSupported(
                $"'{path} --version' does not answer like QEMU: '{Terminals.Printable.Line(line)}'", Install);
        }

        var found = new QemuBinary(path, match.Groups[1].Value, line);
        return found.IsSupported
            ? found
            : throw CliException.NotSupported(
                string.Create(CultureInfo.InvariantCulture, $"QEMU {found.Version} is too old; {Oldest} is needed"),
                Install);
    }

    private static async Task<string> AskVersionAsync(string path, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(_versionLimit);
        try
        {
            return await Programs.OutputAsync(path, ["--version"], limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new CliException(
                ExitCode.TimeLimit, $"'{path} --version' does not answer", "run it by hand to see why");
        }
        catch (Exception error) when (error is Win32Exception or IOException)
        {
            throw CliException.NotSupported($"'{path}' cannot be started: {error.Message}", Install);
        }
    }

    [GeneratedRegex(@"version (\d+\.\d+(?:\.\d+)?)")]
    private static partial Regex VersionPattern();
}
