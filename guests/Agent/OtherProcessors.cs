using System;
using System.Threading;
using Quietus.LinuxProgram;

namespace Quietus.Agent;

/// <summary>
/// Keeps every program from running: this process takes processor 0 before all others, and a child of it each further
/// one, where it goes round until it is told to end. Interrupts and the kernel's own threads go on. Linux lets ordinary
/// processes run for a twentieth of each second all the same (sched_rt_runtime_us); that is off meanwhile.
/// </summary>
/// <remarks>
/// Invariant: the page is shared memory of this process and its children, mapped until the process ends: one word for
/// each processor, and the word that tells them to end.
/// </remarks>
internal unsafe struct OtherProcessors
{
    private const int Most = 64;
    private const ulong PageBytes = 4096;
    private const ulong ReadWrite = 3; // PROT_READ, PROT_WRITE
    private const ulong SharedAnonymous = 0x21; // MAP_SHARED, MAP_ANONYMOUS
    private const ulong Moment = 100_000;

    private const int MostDigits = 32;

    private ulong* _words;
    private int _limit;
    private long _limitLength;
    private fixed byte _oldLimit[MostDigits];

    /// <summary>False, with a message, when the kernel does not let it.</summary>
    internal bool TryHold()
    {
        long page = SystemCalls.MapMemory(PageBytes, ReadWrite, SharedAnonymous, -1);
        if (page < 0 || SystemCalls.Processors(out ulong mask) < 0)
        {
            Message.Say("the kernel gives no memory"u8);
            return false;
        }

        _words = (ulong*)page;
        if (!TryLiftLimit())
        {
            Message.Say("processes that run first cannot be let run on (/proc/sys/kernel/sched_rt_runtime_us)"u8);
            return false;
        }

        for (int i = 1; i < Most; i++)
        {
            if ((mask & (1UL << i)) != 0 && !TryHold(i))
            {
                Release();
                return false;
            }
        }

        if (SystemCalls.RunOn(0) < 0 || SystemCalls.RunFirst() < 0)
        {
            Message.Say("the kernel lets no process run first (SCHED_FIFO): is this root?"u8);
            Release();
            return false;
        }

        return true;
    }

    /// <summary>Lets them go on.</summary>
    internal void Release()
    {
        Volatile.Write(ref _words[Most], 1UL);
        fixed (byte* old = _oldLimit)
        {
            SystemCalls.WriteAtStart(_limit, new ReadOnlySpan<byte>(old, (int)_limitLength));
        }
    }

    private bool TryLiftLimit()
    {
        _limit = (int)SystemCalls.Open("/proc/sys/kernel/sched_rt_runtime_us"u8, SystemCalls.ReadWrite);
        fixed (byte* old = _oldLimit)
        {
            _limitLength = _limit < 0 ? -1 : SystemCalls.Read(_limit, old, MostDigits);
        }

        return _limitLength > 0 && SystemCalls.WriteAtStart(_limit, "-1"u8) > 0;
    }

    private readonly bool TryHold(int processor)
    {
        ref ulong word = ref _words[processor];
        long child = SystemCalls.Fork();
        if (child == 0)
        {
            Hold(processor, ref word);
        }

        while (child > 0 && Volatile.Read(in word) == 0)
        {
            SystemCalls.Sleep(Moment);
        }

        if (child > 0 && Volatile.Read(in word) == 1)
        {
            return true;
        }

        Message.Say("a processor cannot be held: is this root?"u8);
        return false;
    }

    /// <summary>In the child. Does not return.</summary>
    private readonly void Hold(int processor, ref ulong word)
    {
        bool isHeld = SystemCalls.EndWithParent() >= 0 && SystemCalls.RunOn(processor) >= 0
            && SystemCalls.RunFirst() >= 0;
        Volatile.Write(ref word, isHeld ? 1UL : 2UL);
        while (isHeld && Volatile.Read(in _words[Most]) == 0)
        {
        }

        while (true)
        {
            SystemCalls.Exit(0);
        }
    }
}
