using Quietus.Filler.Machine;

namespace Quietus.Filler;

/// <summary>
/// What the guest tells the hypervisor, by HVC #0: X0 = <see cref="Function"/>, X1 = kind, X2 = value. Without a
/// hypervisor the HVC is undefined, and the line on the UART is all.
/// </summary>
internal static class Report
{
    /// <summary>The hypervisor's own call, in the range of vendor-specific hypervisor services (DEN0028).</summary>
    internal const ulong Function = 0xC600_0001;

    /// <summary>So many bytes were dirtied.</summary>
    internal static void Dirtied(ulong bytes) => Send(1, bytes);

    /// <summary>The test, which has tried so many things, passed.</summary>
    internal static void TestPassed(ulong tries) => Send(2, tries);

    /// <summary>The test, or something else that was asked for, failed.</summary>
    internal static void TestFailed(ulong which) => Send(3, which);

    /// <summary>Instructions for an HVC and back, in thousandths.</summary>
    internal static void HypervisorCallCost(ulong thousandths) => Send(4, thousandths);

    /// <summary>Instructions for the first touch of a page, in thousandths.</summary>
    internal static void FirstTouchCost(ulong thousandths) => Send(5, thousandths);

    /// <summary>A round of reading has found everything as it was left. Not on the UART: there are many.</summary>
    internal static void Witnessed(ulong round) => Call(6, round);

    /// <summary>The guest goes on as a child of this number.</summary>
    internal static void Born(ulong child) => Send(7, child);

    /// <summary>So many shared pages have been read. By HVC only: a line on the UART writes memory.</summary>
    internal static void SharedRead(ulong pages) => Call(8, pages);

    /// <summary>Instructions for a write to a shared page, in thousandths: the first in its gigabyte.</summary>
    internal static void FirstInGigabyteCost(ulong thousandths) => Send(9, thousandths);

    /// <summary>The first in its 2 MB.</summary>
    internal static void FirstInRegionCost(ulong thousandths) => Send(10, thousandths);

    /// <summary>A further one.</summary>
    internal static void SharedWriteCost(ulong thousandths) => Send(11, thousandths);

    /// <summary>63 random bits of the hypervisor's.</summary>
    internal static void RandomBits(ulong bits) => Send(12, bits);

    /// <summary>63 bits of the generation ID.</summary>
    internal static void GenerationId(ulong bits) => Send(13, bits);

    /// <summary>So often the generation ID's interrupt came before a child's first instruction.</summary>
    internal static void GenerationNews(ulong times) => Send(14, times);

    /// <summary>So many units of work are done. By HVC only.</summary>
    internal static void Worked(ulong units) => Call(15, units);

    /// <summary>So many thousandths of a time were stolen.</summary>
    internal static void StolenPart(ulong thousandths) => Send(16, thousandths);

    /// <summary>Instructions for a read of a register of the UART's, in thousandths.</summary>
    internal static void UartCost(ulong thousandths) => Send(17, thousandths);

    /// <summary>How late a timer's interrupt was, in nanoseconds: of 99 in 100 no later.</summary>
    internal static void TimerLateness(ulong nanoseconds) => Send(20, nanoseconds);

    /// <summary>The latest one.</summary>
    internal static void TimerLatest(ulong nanoseconds) => Send(21, nanoseconds);

    /// <summary>How long it was awake between two sleeps, in thousandths of a nanosecond, on average.</summary>
    internal static void Awake(ulong thousandths) => Send(22, thousandths);

    /// <summary>From an interrupt that one vCPU sends until another, asleep, runs, in nanoseconds: 99 in 100.</summary>
    internal static void WakeLateness(ulong nanoseconds) => Send(23, nanoseconds);

    /// <summary>The longest one.</summary>
    internal static void WakeLatest(ulong nanoseconds) => Send(24, nanoseconds);

    /// <summary>How long others had its core between two of its turns, in thousandths of a nanosecond.</summary>
    internal static void OthersTurn(ulong thousandths) => Send(25, thousandths);

    /// <summary>How long a turn of its own was, in thousandths of a nanosecond.</summary>
    internal static void OwnTurn(ulong thousandths) => Send(26, thousandths);

    private static void Send(ulong kind, ulong value)
    {
        Terminal.Begin();
        Terminal.Text("report kind="u8);
        Terminal.Decimal(kind);
        Terminal.Text(" value="u8);
        Terminal.Decimal(value);
        Terminal.EndLine();
        Call(kind, value);
    }

    private static void Call(ulong kind, ulong value)
    {
        ref ExceptionRecord record = ref Exceptions.Current;
        bool expecting = record.Expecting;
        record.Expecting = true;
        Instructions.HypervisorCall(Function, kind, value, 0);
        record.Expecting = expecting;
    }
}
