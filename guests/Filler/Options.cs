using System;
using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>What the guest does when everything else is done; the order is that of the names in Options.</summary>
internal enum Ending
{
    /// <summary>Sleeps for ever.</summary>
    Wait,

    /// <summary>Touches its memory for ever.</summary>
    Spin,

    /// <summary>PSCI SYSTEM_OFF.</summary>
    Off,

    /// <summary>PSCI SYSTEM_RESET.</summary>
    Reset,

    /// <summary>Jumps to where nothing is.</summary>
    Crash,

    /// <summary>Prints bytes without meaning for ever.</summary>
    Garbage,

    /// <summary>Takes 100 timer interrupts, then sleeps.</summary>
    Timer,

    /// <summary>Reads its memory for ever, and reports each round.</summary>
    Witness,

    /// <summary>Computes for ever, and reports how much is done.</summary>
    Work,

    /// <summary>Tells its own turns from those of others, and reports both.</summary>
    Turns,

    /// <summary>Sleeps and is woken, and reports how late.</summary>
    Naps,

    /// <summary>Calls the hypervisor for ever, by HVC; and so on, see <see cref="Storms"/>.</summary>
    HvcStorm,
    SgiStorm,
    UartStorm,
    GicStorm,
    PsciStorm,
    AlarmStorm,
    AbortStorm,
    VirtioStorm,
}

/// <summary>How the guest asks to be made a template; the order is that of the names.</summary>
internal enum Freezing
{
    None,

    /// <summary>By HVC.</summary>
    Once,

    /// <summary>By HVC, and again in each child.</summary>
    Twice,

    /// <summary>By the freeze register, as a program of a guest does.</summary>
    Register,

    /// <summary>By HVC, while the virtual timer's interrupt is pending and masked.</summary>
    Timer,
}

/// <summary>What a child does with the memory that its template has filled; the order is that of the names.</summary>
internal enum SharedWork
{
    None,

    /// <summary>Reads a word of each page.</summary>
    Read,

    /// <summary>Finds all as it was filled, writes to every other page, and finds it so.</summary>
    Write,

    /// <summary>Measures what writes cost.</summary>
    Measure,

    /// <summary>Tells random numbers and its generation ID.</summary>
    Random,
}

/// <summary>The command line, as /chosen has it: key=value pairs, with spaces between.</summary>
internal ref struct Options
{
    /// <summary>Stands for all memory that the guest does not use itself.</summary>
    internal const ulong Everything = ulong.MaxValue;

    internal ulong FillBytes;
    internal bool TouchPages;
    internal bool CheckZero;
    internal bool MeasureCalls;
    internal bool MeasureFaults;
    internal bool MeasureUart;
    internal bool AllCpus;

    /// <summary>Asks to be frozen once everything is filled, and goes on in each child.</summary>
    internal Freezing Freezing;
    internal SharedWork Shared;
    internal Ending Ending;

    /// <summary>The test's name; empty when there is none.</summary>
    internal ReadOnlySpan<byte> Test;

    /// <summary>Reads a command line.</summary>
    /// <param name="arguments">The text.</param>
    /// <param name="wrong">The argument that makes no sense; empty when all do.</param>
    internal static Options Parse(ReadOnlySpan<byte> arguments, out ReadOnlySpan<byte> wrong)
    {
        Options options = default;
        wrong = default;
        while (arguments.Length != 0)
        {
            ReadOnlySpan<byte> argument = Texts.Until(arguments, (byte)' ');
            arguments = arguments.Slice(Math.Min(argument.Length + 1, arguments.Length));
            ReadOnlySpan<byte> key = Texts.Until(argument, (byte)'=');
            ReadOnlySpan<byte> value = argument.Slice(Math.Min(key.Length + 1, argument.Length));
            if (argument.Length != 0 && !options.Set(key, value))
            {
                wrong = argument;
                return options;
            }
        }

        return options;
    }

    private bool Set(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        switch (Texts.IndexIn("fill touch check measure cpus test then freeze shared"u8, key))
        {
            case 0:
                FillBytes = Everything;
                return Texts.Are(value, "all"u8) || Texts.TryReadSize(value, out FillBytes);
            case 1:
                int touch = Texts.IndexIn("lines page"u8, value);
                TouchPages = touch == 1;
                return touch >= 0;
            case 2:
                CheckZero = true;
                return Texts.Are(value, "zero"u8);
            case 3:
                int measure = Texts.IndexIn("hvc fault all uart"u8, value);
                MeasureCalls = measure is 0 or 2;
                MeasureFaults = measure is 1 or 2;
                MeasureUart = measure is 3;
                return measure >= 0;
            case 4:
                AllCpus = true;
                return Texts.Are(value, "all"u8);
            case 5:
                Test = value;
                return Tests.TestRunner.Has(value);
            case 6:
                int ending = Texts.IndexIn(
                    "wait spin off reset crash garbage timer witness work turns naps hvc sgi uart gic psci"u8
                    + " alarms aborts virtio"u8, value);
                Ending = (Ending)ending;
                return ending >= 0;
            case 7:
                int freezing = Texts.IndexIn("yes twice register timer"u8, value);
                Freezing = (Freezing)(freezing + 1);
                return freezing >= 0;
            case 8:
                int work = Texts.IndexIn("read write measure random"u8, value);
                Shared = (SharedWork)(work + 1);
                return work >= 0;
            default:
                return false;
        }
    }
}
