using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Probe;
using Shouldly;
using Xunit;

namespace Quietus.Image.Tests.Machines;

/// <summary>The probe's file, or the command line, run as a program; and the processes that it has left.</summary>
internal sealed class ProbeProgram : IDisposable
{
    private static readonly TimeSpan _patience = TimeSpan.FromMinutes(15);

    private readonly string _mark = "QUIETUS_TEST_MARK=" + Guid.NewGuid().ToString("N");
    private readonly Process _process;

    private ProbeProgram(string file, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(file) { RedirectStandardError = true, RedirectStandardOutput = true };
        start.Environment["QUIETUS_TEST_MARK"] = _mark.Split('=')[1];
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        _process = Process.Start(start)!;
    }

    /// <summary>The probe itself, of this machine's architecture.</summary>
    public static ProbeProgram Probe(params string[] arguments) =>
        new(ProbeRunner.File(ProbeRunner.IsArm64Here), arguments);

    /// <summary>The command line.</summary>
    public static ProbeProgram Quietus(params string[] arguments) =>
        new("dotnet", arguments.Prepend(Path.Combine(AppContext.BaseDirectory, "quietus.dll")));

    /// <summary>A line for the shell, in which the probe's file is <c>$1</c>.</summary>
    public static ProbeProgram Shell(string line) =>
        new("/bin/sh", ["-c", line, "sh", ProbeRunner.File(ProbeRunner.IsArm64Here)]);

    public bool HasExited => _process.HasExited;

    public static void SkipWithoutKvm()
    {
        Assert.SkipUnless(File.Exists("/dev/kvm"), "this host has no /dev/kvm");
        try
        {
            using FileStream kvm = File.Open("/dev/kvm", FileMode.Open, FileAccess.ReadWrite);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Assert.Skip($"/dev/kvm cannot be opened: {error.Message}");
        }
    }

    /// <summary>
    /// Its processes that have not ended, and what they have started: those that have this run's mark in their
    /// environment. Other probes on the host do not count; a zombie has no environment.
    /// </summary>
    public int Alive() => Directory.EnumerateDirectories("/proc").Count(folder =>
    {
        try
        {
            return char.IsAsciiDigit(Path.GetFileName(folder)[0])
                && File.ReadAllText(Path.Combine(folder, "environ"), Encoding.Latin1)
                    .Contains(_mark, StringComparison.Ordinal);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    });

    /// <summary>Waits until something is so, for minutes if need be.</summary>
    public static async Task AwaitAsync(Func<bool> isSo, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!isSo())
        {
            watch.Elapsed.ShouldBeLessThan(_patience, what);
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Sends SIGKILL, to the first process alone, and waits for its end.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>Waits for its end.</summary>
    public async Task<(int Code, string Output, string Errors)> FinishAsync()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(_patience);
        Task<string> output = _process.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> errors = _process.StandardError.ReadToEndAsync(limit.Token);
        await _process.WaitForExitAsync(limit.Token);
        return (_process.ExitCode, await output, await errors);
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
        }

        _process.Dispose();
    }
}
