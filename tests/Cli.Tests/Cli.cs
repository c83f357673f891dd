using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using Shouldly;

namespace Quietus.Cli.Tests;

/// <summary>
/// The built command line, run as a process against the stand-in for QEMU, in folders of its own. Whatever happens, no
/// stand-in may be left running: disposing proves it.
/// </summary>
internal sealed class Cli : IDisposable
{
    public const int Interrupt = 2;
    public const int Terminate = 15;
    public const int HangUp = 1;
    public const int KillNow = 9;

    /// <summary>How long anything may take: it is there to end a hang, on a host that is as busy as can be.</summary>
    private static readonly TimeSpan _patience = TimeSpan.FromMinutes(4);

    private readonly string _folder = Directory.CreateTempSubdirectory("quietus-test-").FullName;
    private readonly Dictionary<string, string?> _environment;

    public Cli(string mode = "good")
    {
        File.WriteAllText(Image, "an image");
        _environment = new()
        {
            ["QUIETUS_HOME"] = _folder,
            ["QUIETUS_IMAGE"] = Image,
            ["QUIETUS_CACHE"] = Cache,
            ["QUIETUS_QEMU"] = Path.Combine(AppContext.BaseDirectory, "fake-qemu"),
            ["QUIETUS_HOST_MEMORY_BYTES"] = "100000000000",
            ["FAKE_QEMU"] = mode,
            ["FAKE_QEMU_STARTS"] = StartFolder,
            ["NO_COLOR"] = null,
            ["CLICOLOR_FORCE"] = null,
            ["TERM"] = "xterm-256color",
        };
    }

    public sealed record Outcome(int Code, string Output, string Errors);

    public string Cache => Path.Combine(_folder, "cache");

    private string Image => Path.Combine(_folder, "quietus.img");

    private static string Program => Path.Combine(AppContext.BaseDirectory, "quietus.dll");

    /// <summary>Where each start of the stand-in leaves a file: when and who is its name, how its content.</summary>
    private string StartFolder => Path.Combine(_folder, "starts");

    public string PathOf(string name) => Path.Combine(_folder, name);

    public string WriteFile(string name, byte[] content)
    {
        string path = PathOf(name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, content);
        return path;
    }

    public Cli With(string name, string? value)
    {
        _environment[name] = value;
        return this;
    }

    /// <summary>Runs to the end, the input closed unless some is given.</summary>
    public Outcome Run(params string[] arguments) => RunWithInput(string.Empty, arguments);

    public Outcome RunWithInput(string input, params string[] arguments)
    {
        using Process process = Start(arguments);
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        return Finish(process);
    }

    /// <summary>Starts it and leaves it running.</summary>
    public Process Start(params string[] arguments) => StartProgram("dotnet", [Program, .. arguments]);

    /// <summary>Starts the server, where the test has it beside itself.</summary>
    public Process StartServer(params string[] arguments) => StartServerProgram(["serve", .. arguments]);

    /// <summary>Starts the server's program with any command line.</summary>
    public Process StartServerProgram(string[] arguments) => StartProgram(
        "dotnet", [Path.Combine(AppContext.BaseDirectory, "quietus-serve.dll"), .. arguments]);

    /// <summary>Starts it as a terminal's foreground job: in a process group of its own, of that number.</summary>
    public Process StartGroup(params string[] arguments) => StartProgram("setsid", ["dotnet", Program, .. arguments]);

    /// <summary>Starts any program in these folders.</summary>
    public Process StartProgram(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _folder,
        };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return Start(start);
    }

    /// <summary>Runs a shell script in which <c>$Q</c> is the command line.</summary>
    public Outcome Shell(string script) => Shell(script, _patience);

    /// <summary>The same of one that takes its time.</summary>
    public Outcome Shell(string script, TimeSpan patience)
    {
        var start = new ProcessStartInfo("sh")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _folder,
        };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(script);
        start.Environment["Q"] = "dotnet " + Program;
        using Process process = Start(start);
        process.StandardInput.Close();
        return Finish(process, patience);
    }

    /// <summary>Waits for the end of a started process.</summary>
    public static Outcome Finish(Process process) => Finish(process, _patience);

    /// <summary>The same, of one that takes its time.</summary>
    public static Outcome Finish(Process process, TimeSpan patience)
    {
        System.Threading.Tasks.Task<string> output = process.StandardOutput.ReadToEndAsync();
        System.Threading.Tasks.Task<string> errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(patience))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException("the command line hangs");
        }

        return new Outcome(process.ExitCode, output.Result, errors.Result);
    }

    /// <summary>Waits until the stand-in has been started this often.</summary>
    public int[] WaitForMachines(int count = 1)
    {
        Wait(() => Machines().Length >= count, "no machine was started");
        return Machines();
    }

    /// <summary>The process of each start, the first one first.</summary>
    public int[] Machines() => [.. Starts().Select(path => int.Parse(
        Path.GetFileName(path).Split('-')[1], CultureInfo.InvariantCulture))];

    /// <summary>The command line of each start, likewise.</summary>
    public string[] MachineArguments() => [.. Starts().Select(File.ReadAllText)];

    private string[] Starts() => Directory.Exists(StartFolder)
        ? [.. Directory.GetFiles(StartFolder, "????????????????-*").Order(StringComparer.Ordinal)]
        : [];

    public static void Signal(Process process, int signal) =>
        NativeMethods.Kill(process.Id, signal).ShouldBe(0);

    /// <summary>What Ctrl-C on a terminal does: every process of the group gets the signal.</summary>
    public static void SignalGroup(Process process, int signal) =>
        NativeMethods.Kill(-process.Id, signal).ShouldBe(0);

    public static bool IsAlive(int pid)
    {
        try
        {
            string stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"));
            return stat[(stat.LastIndexOf(')') + 2)..][0] is not ('Z' or 'X');
        }
        catch (IOException)
        {
            return false;
        }
    }

    public static void Wait(Func<bool> condition, string otherwise)
    {
        long begun = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(begun) > _patience)
            {
                throw new TimeoutException(otherwise);
            }

            Thread.Sleep(20);
        }
    }

    public void Dispose()
    {
        // A process that was killed takes a moment to go, longer on a busy host.
        var killed = Stopwatch.StartNew();
        int[] alive = [.. Machines().Where(IsAlive)];
        while (alive.Length != 0 && killed.Elapsed < TimeSpan.FromSeconds(5))
        {
            Thread.Sleep(50);
            alive = [.. alive.Where(IsAlive)];
        }

        foreach (int pid in alive)
        {
            try
            {
                System.Diagnostics.Process.GetProcessById(pid).Kill();
            }
            catch (Exception error) when (error is ArgumentException or InvalidOperationException or Win32Exception)
            {
                // It ended just now.
            }
        }

        Directory.Delete(_folder, recursive: true);
        alive.ShouldBeEmpty("a machine was left running");
    }

    private Process Start(ProcessStartInfo start)
    {
        foreach ((string name, string? value) in _environment)
        {
            if (value is null)
            {
                start.Environment.Remove(name);
            }
            else
            {
                start.Environment[name] = value;
            }
        }

        return Process.Start(start)!;
    }

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "kill")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Kill(int pid, int signal);
    }
}
