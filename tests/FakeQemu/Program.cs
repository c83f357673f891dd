using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using Quietus.FakeQemu;

// A stand-in for qemu-system-aarch64 with the hypervisor in it, for testing the command line: it speaks the monitor's
// protocol on its standard streams, and misbehaves as FAKE_QEMU says.
string mode = Environment.GetEnvironmentVariable("FAKE_QEMU") ?? "good";
if (args.Contains("--version"))
{
    Console.WriteLine(mode switch
    {
        "old" => "QEMU emulator version 5.2.0 (fake)",
        "stranger" => "GNU bash, version unknown",
        _ => "QEMU emulator version 7.2.22 (fake)",
    });
    return 0;
}

// One file for each start, complete when its name is there: of two machines that start at once neither is lost.
if (Environment.GetEnvironmentVariable("FAKE_QEMU_STARTS") is string starts)
{
    Directory.CreateDirectory(starts);
    string name = string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetTimestamp():x16}-{Environment.ProcessId}");
    string unfinished = Path.Combine(starts, "." + name);
    File.WriteAllText(unfinished, string.Join(' ', args));
    File.Move(unfinished, Path.Combine(starts, name));
}

// A machine with a Linux of its own, not with the hypervisor: told by the command line of its kernel.
if (Array.IndexOf(args, "-append") is >= 0 and int append)
{
    return FakeKvmHost.Run(mode, args[append + 1], Console.OpenStandardOutput());
}

switch (mode)
{
    case "dies-at-start":
        Console.Error.WriteLine("qemu-system-aarch64: Addressing limited to 32 bits");
        return 1;
    case "silent":
        Thread.Sleep(Timeout.Infinite);
        return 0;
    default:
        return new FakeMachine(mode, Console.OpenStandardInput(), Console.OpenStandardOutput()).Run();
}
