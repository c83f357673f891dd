using System;
using System.Runtime;
using Quietus.Probe.Kvm;
using Quietus.Probe.Linux;
using Quietus.Probe.Output;
using Quietus.Probe.Runs;

namespace Quietus.Probe.Boot;

/// <summary>Where C# begins.</summary>
/// <remarks>
/// Invariant: Begin.S hands over the stack that Linux made: argc, then that many pointers to texts that end in 0.
/// </remarks>
internal static unsafe class Entry
{
    [RuntimeExport("program_start")]
    private static void Start(ulong* stack)
    {
        bool isAlone = SystemCalls.ProcessId() == 1;
        if (isAlone)
        {
            OwnMachine.SetUp();
        }
        else
        {
            OpenStandardFiles();
        }

        Sink.SetUp();
        Options options = Options.Default;
        options.Take(stack);
        if (options.WantsHelp)
        {
            Help.Write();
            SystemCalls.Exit(0);
        }

        Processors.SetUp();
        Machine.SetUp();
        Survey.Settle(ref options);
        int json = OpenJson(options);
        bool tellsTable = json != 1;
        Board.SetUp();
        Samples.SetUp(options.Runs);
        Extras.SetUp();
        if (tellsTable)
        {
            Facts.WriteLines();
        }

        Warnings.Look();
        Survey.Run(options, tellsTable);
        Warnings.LookAtSpread();
        if (tellsTable)
        {
            Warnings.WriteLines();
            Sink.Flush();
        }

        if (json >= 0)
        {
            Sink.Turn(json);
            Document.Write(options);
            Sink.Flush();
        }

        if (isAlone)
        {
            OwnMachine.TurnOff();
        }

        while (true)
        {
            SystemCalls.Exit(0);
        }
    }

    /// <summary>
    /// Where stdin, stdout or stderr is closed, gives it a file that takes everything: else what is opened first,
    /// /dev/kvm, would get its number, and the table with it.
    /// </summary>
    private static void OpenStandardFiles()
    {
        const int Last = 2;
        long opened;
        do
        {
            opened = SystemCalls.Open("/dev/null"u8, SystemCalls.ReadWrite);
        }
        while (opened is >= 0 and < Last);

        if (opened > Last)
        {
            SystemCalls.Close((int)opened);
        }
    }

    /// <summary>Opened before anything is measured, so that a wrong path costs no time.</summary>
    private static int OpenJson(in Options options)
    {
        if (options.Json.Length == 0)
        {
            return -1;
        }

        const ulong WriteNew = 0x241; // O_WRONLY, O_CREAT, O_TRUNC
        return options.Json.SequenceEqual("-"u8)
            ? 1
            : (int)Problem.Checked(
                SystemCalls.Open(options.Json, WriteNew, 0x1A4), "opening the file for --json"u8);
    }

    /// <summary>What generated code calls when an index, a division or a cast fails (Corelib's ThrowHelpers).</summary>
    [RuntimeExport("quietus_check_failed")]
    private static void CheckFailed(int code) =>
        Problem.Stop("a defect of the probe: a check of the compiler's failed"u8, (ulong)code);
}
