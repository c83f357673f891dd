using System;

namespace Quietus.KvmProbe.Linux;

/// <summary>The Linux around us: its console, its file systems, its memory, its end.</summary>
/// <remarks>Invariant: the buffers that Linux fills in are as large as the structures that it writes.</remarks>
internal static unsafe class Host
{
    private const int InformationBytes = 112; // struct sysinfo
    private const int FreeMemory = 40;
    private const int MemoryUnit = 104;
    private const int NameBytes = 65; // struct utsname: six of them, the release is the third
    private const int Release = 2 * NameBytes;

    /// <summary>Makes a console and what is measured with; our initial RAM disk has neither.</summary>
    internal static void SetUp()
    {
        SystemCalls.MakeFolder("/dev"u8);
        SystemCalls.Mount("devtmpfs"u8, "/dev"u8);
        Output.Open((int)SystemCalls.Open("/dev/console"u8, SystemCalls.ReadWrite));
        SystemCalls.MakeFolder("/proc"u8);
        Failure.Checked(SystemCalls.Mount("proc"u8, "/proc"u8), "mounting /proc"u8);
        Failure.Checked(SystemCalls.RunOn(0), "staying on one processor"u8);
        SeedRandom();
    }

    /// <summary>
    /// Tells the kernel's random generator that it has a seed. The machine gives it none, so that runs repeat, and
    /// until it has one every system call takes 9,000 instructions more, for the offset of its stack (Linux 6.1).
    /// </summary>
    private static void SeedRandom()
    {
        const int Words = 16;
        const ulong AddEntropy = 0x40085203; // RNDADDENTROPY: bits, bytes, and so many bytes
        int file = (int)Failure.Checked(
            SystemCalls.Open("/dev/urandom"u8, SystemCalls.ReadWrite), "opening /dev/urandom"u8);
        int* seed = stackalloc int[2 + Words];
        seed[0] = 32 * Words;
        seed[1] = sizeof(int) * Words;
        for (int i = 0; i < Words; i++)
        {
            seed[2 + i] = i;
        }

        Failure.Checked(SystemCalls.Control(file, AddEntropy, (ulong)seed), "seeding random numbers"u8);
        SystemCalls.Close(file);
    }

    /// <summary>Powers the machine off; does not return.</summary>
    internal static void TurnOff()
    {
        while (true)
        {
            SystemCalls.PowerOff();
        }
    }

    /// <summary>Bytes that are free, as sysinfo(2) has them.</summary>
    internal static ulong FreeBytes()
    {
        byte* information = stackalloc byte[InformationBytes];
        Failure.Checked(SystemCalls.SystemInformation(information), "asking for free memory"u8);
        return *(ulong*)(information + FreeMemory) * *(uint*)(information + MemoryUnit);
    }

    /// <summary>The kernel's release, such as 6.1.0-56-cloud-arm64, into a buffer of 65 bytes at least.</summary>
    internal static int ReadRelease(Span<byte> to)
    {
        byte* names = stackalloc byte[6 * NameBytes];
        Failure.Checked(SystemCalls.Names(names), "asking for the kernel's release"u8);
        var release = new ReadOnlySpan<byte>(names + Release, NameBytes);
        int length = release.IndexOf(0);
        release.Slice(0, length).CopyTo(to);
        return length;
    }
}
