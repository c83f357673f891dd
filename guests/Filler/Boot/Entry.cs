using System;
using System.Runtime;
using Quietus.Filler.Machine;
using Quietus.Filler.Tests;

namespace Quietus.Filler.Boot;

/// <summary>Where C# begins: the command line is done from left to right of docs/filler.md.</summary>
internal static class Entry
{
    /// <summary>The boot core (Boot/Start.S).</summary>
    [RuntimeExport("filler_boot")]
    private static void Boot(ulong deviceTree, ulong imageStart, ulong imageEnd)
    {
        ReadOnlySpan<byte> arguments = Board.Read(deviceTree);
        Terminal.Initialize();
        if (Board.TreeEnd == 0 || Board.CpuCount == 0 || Board.RamEnd == 0)
        {
            Refuse("no device tree, or no memory or cores in it"u8, default);
        }

        Tables.MapRam();
        FreeMemory.Initialize(imageStart, imageEnd);
        Options options = Options.Parse(arguments, out ReadOnlySpan<byte> wrong);
        if (wrong.Length != 0)
        {
            Refuse("unknown argument "u8, wrong);
        }

        SayHello();
        Endings.Prepare(options.Ending);
        Run(options);
        Endings.Run(options.Ending);
    }

    private static void Run(Options options)
    {
        if (options.MeasureCalls)
        {
            Measurements.HypervisorCall();
        }

        if (options.MeasureUart)
        {
            Measurements.UartAccess();
        }

        if ((options.MeasureFaults && !Measurements.FirstTouch()) || !Filling.Run(options))
        {
            return;
        }

        // The report of a fill is the last that is heard of a guest without a test: a host that acts on it meets a
        // silent guest, not now and then one in the middle of a line.
        if (options.Test.Length == 0 && options.Freezing == Freezing.None && options.Shared == SharedWork.None)
        {
            Terminal.Line("done"u8);
            Filling.ReportDirtied();
            return;
        }

        Filling.ReportDirtied();
        if (Childhood.Begin(options.Freezing, options.Shared)
            && Childhood.Work(options.Shared, Filling.FilledBytes)
            && (options.Test.Length == 0 || TestRunner.Run(options.Test)))
        {
            Terminal.Line("done"u8);
        }
    }

    private static void SayHello()
    {
        Terminal.Begin();
        Terminal.Decimal((Board.RamEnd - Board.RamStart) >> 20);
        Terminal.Text(" MB, cores "u8);
        Terminal.Decimal((ulong)Board.CpuCount);
        Terminal.EndLine();
    }

    private static void Refuse(ReadOnlySpan<byte> why, ReadOnlySpan<byte> what)
    {
        Terminal.Begin();
        Terminal.Text(why);
        Terminal.Text(what);
        Terminal.EndLine();
        Report.TestFailed(0);
        Firmware.TurnOff();
    }
}
