using System;
using Quietus.LinuxProgram;

namespace Quietus.Agent.Serving;

/// <summary>What process 1 prepares before it serves: the kernel's file systems, devices, the loopback.</summary>
internal static class FirstProcess
{
    /// <summary>Does as much as can be done: an image may have some of it, and need not have all.</summary>
    internal static void Prepare()
    {
        Mount("proc"u8, "/proc"u8);
        Mount("sysfs"u8, "/sys"u8);
        Mount("devtmpfs"u8, "/dev"u8);
        Mount("devpts"u8, "/dev/pts"u8);
        Mount("tmpfs"u8, "/dev/shm"u8);
        Mount("tmpfs"u8, "/run"u8);
        SystemCalls.MakeFolder("/tmp"u8);
        SystemCalls.Link("/proc/self/fd"u8, "/dev/fd"u8);
        SystemCalls.Link("/proc/self/fd/0"u8, "/dev/stdin"u8);
        SystemCalls.Link("/proc/self/fd/1"u8, "/dev/stdout"u8);
        SystemCalls.Link("/proc/self/fd/2"u8, "/dev/stderr"u8);
        Network.BeginLoopback();
        Modules.Load();
    }

    private static void Mount(ReadOnlySpan<byte> type, ReadOnlySpan<byte> path)
    {
        SystemCalls.MakeFolder(path);
        long result = SystemCalls.Mount(type, path);
        if (result is < 0 and not SystemCalls.IsBusy)
        {
            Message.Say("a file system cannot be mounted:"u8);
            Message.Say(path);
        }
    }
}
