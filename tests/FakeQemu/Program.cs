using System;
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

if (Environment.GetEnvironmentVariable("FAKE_QEMU_PIDS") is string pids)
{
    File.AppendAllText(pids, string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}\n"));
}

if (Environment.GetEnvironmentVariable("FAKE_QEMU_ARGUMENTS") is string log)
{
    File.AppendAllText(log, string.Join(' ', args) + "\n");
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
