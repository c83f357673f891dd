using System;
using Quietus.Filler.Machine;

namespace Quietus.Filler.Tests;

/// <summary>The tests by their names (docs/filler.md).</summary>
internal static class TestRunner
{
    /// <summary>In the order of <see cref="Names"/>, after <see cref="None"/>.</summary>
    private enum Test
    {
        None,
        BadHvc,
        Psci,
        Smc,
        SysRegs,
        Mmio,
        Outside,
        IdRegs,
        Zero,
        Sgi,
        SetWay,
        AArch32,
        Wfx,
        SelfMod,
        Uncached,
        Debug,
        Timers,
        Virtio,
        Vectors,
        Naps,
        Stolen,
    }

    private static ReadOnlySpan<byte> Names =>
        "badhvc psci smc sysregs mmio outside idregs zero sgi setway aarch32 wfx selfmod uncached debug timers"u8
        + " virtio vectors naps stolen"u8;

    /// <summary>Whether there is a test of this name.</summary>
    internal static bool Has(ReadOnlySpan<byte> name) => Find(name) != Test.None;

    /// <summary>Runs a test and reports; true when it passed.</summary>
    internal static bool Run(ReadOnlySpan<byte> name)
    {
        Tally tally = default;
        switch (Find(name))
        {
            case Test.BadHvc:
                CallTests.BadCalls(ref tally);
                break;
            case Test.Psci:
                PsciTests.Run(ref tally);
                break;
            case Test.Smc:
                CallTests.SecureCalls(ref tally);
                break;
            case Test.SysRegs:
                RegisterTests.EveryRegister(ref tally);
                break;
            case Test.Mmio:
                DeviceTests.Run(ref tally);
                break;
            case Test.Outside:
                OutsideTests.Run(ref tally);
                break;
            case Test.IdRegs:
                RegisterTests.Identification(ref tally);
                break;
            case Test.Zero:
                MemoryTests.Zero(ref tally);
                break;
            case Test.Sgi:
                InterruptTests.SoftwareInterrupts(ref tally);
                break;
            case Test.SetWay:
                MemoryTests.SetWay(ref tally);
                break;
            case Test.AArch32:
                StateTests.AArch32(ref tally);
                break;
            case Test.Wfx:
                InterruptTests.Waiting(ref tally);
                break;
            case Test.SelfMod:
                MemoryTests.SelfModifying(ref tally);
                break;
            case Test.Uncached:
                MemoryTests.Uncached(ref tally);
                break;
            case Test.Debug:
                DebugTests.Run(ref tally);
                break;
            case Test.Timers:
                TimerTests.Run(ref tally);
                break;
            case Test.Vectors:
                StateTests.Vectors(ref tally);
                break;
            case Test.Naps:
                InterruptTests.ShortNaps(ref tally);
                break;
            case Test.Stolen:
                StolenTimeTests.Run(ref tally);
                break;
            case Test.Virtio:
                VirtioTests.Run(ref tally);
                break;
        }

        // A test may have left the UART as wild as everything else.
        Terminal.Initialize();
        Terminal.Begin();
        Terminal.Text("test "u8);
        Terminal.Text(name);
        Terminal.Text(tally.FirstFailure == 0 ? " passed, tries "u8 : " FAILED, tries "u8);
        Terminal.Decimal(tally.Tries);
        Terminal.EndLine();
        if (tally.FirstFailure != 0)
        {
            Report.TestFailed(tally.FirstFailure);
            return false;
        }

        Report.TestPassed(tally.Tries);
        return true;
    }

    private static Test Find(ReadOnlySpan<byte> name) => (Test)(1 + Texts.IndexIn(Names, name));
}
