using System;

namespace Quietus.Probe.Linux;

/// <summary>A machine of the probe's own, whose first process it is: ./quietus probe --under qemu.</summary>
/// <remarks>Invariant: what is handed to the kernel has as many bytes as it is told.</remarks>
internal static unsafe class OwnMachine
{
    internal static void SetUp()
    {
        Mount("devtmpfs"u8, "/dev"u8);
        Mount("proc"u8, "/proc"u8);
        Mount("sysfs"u8, "/sys"u8);
        long console = SystemCalls.Open("/dev/console"u8, SystemCalls.ReadWrite);
        for (int i = 0; i < 3; i++)
        {
            SystemCalls.DuplicateTo((int)console, i);
        }

        SeedRandom();
    }

    /// <summary>
    /// Tells the kernel's random generator that it has a seed. A machine whose runs repeat gives it none, and until it
    /// has one every system call takes 9,000 instructions more, for the offset of its stack (Linux 6.1).
    /// </summary>
    private static void SeedRandom()
    {
        const int Words = 16;
        const ulong AddEntropy = 0x40085203; // RNDADDENTROPY: bits, bytes, and so many bytes
        int* seed = stackalloc int[2 + Words];
        seed[0] = 32 * Words;
        seed[1] = sizeof(int) * Words;
        for (int i = 0; i < Words; i++)
        {
            seed[2 + i] = i;
        }

        long file = SystemCalls.Open("/dev/urandom"u8, SystemCalls.ReadWrite);
        if (file >= 0)
        {
            SystemCalls.Control((int)file, AddEntropy, (ulong)seed);
            SystemCalls.Close((int)file);
        }
    }

    /// <summary>Powers the machine off; does not return.</summary>
    internal static void TurnOff()
    {
        while (true)
        {
            SystemCalls.PowerOff();
        }
    }

    private static void Mount(ReadOnlySpan<byte> type, ReadOnlySpan<byte> folder)
    {
        SystemCalls.MakeFolder(folder);
        SystemCalls.Mount(type, folder);
    }
}
