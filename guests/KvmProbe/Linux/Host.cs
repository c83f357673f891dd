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
