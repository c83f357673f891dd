using Quietus.Agent.Jobs;
using Quietus.LinuxProgram;
using Quietus.Wire;

namespace Quietus.Agent.Serving;

/// <summary>
/// The process that listens on the agent's port, and makes a process for each connection: a conversation that goes
/// wrong takes nothing else along. A guard outlives it: process 1 where the agent is that, which no program can kill.
/// </summary>
/// <remarks>Invariant: what a system call is given is as long as it is told, for as long as it lasts.</remarks>
internal static unsafe class Server
{
    private const ulong AllSignals = ulong.MaxValue;

    /// <summary>Serves for ever. False, with a message, when that cannot be.</summary>
    internal static bool Run()
    {
        if (!TryKeepStandardStreams() || !SharedPage.TryMap())
        {
            Message.Say("the kernel gives no memory, or no /dev/null"u8);
            return false;
        }

        _ = Machine.Open();
        SystemCalls.BlockSignals(AllSignals);
        SurviveLackOfMemory();
        long socket = SystemCalls.ListenOnVsock(JobFrame.Port);
        if (socket < 0)
        {
            Message.Say("there is no vsock: is the VM made with vsock=on, and are the kernel's modules loaded?"u8);
            return false;
        }

        long server = SystemCalls.Fork();
        if (server == 0)
        {
            Serve((int)socket);
        }

        SystemCalls.Close((int)socket);
        if (server < 0)
        {
            Message.Say("the kernel gives no process"u8);
            return false;
        }

        Message.Say("listening"u8);
        while (true)
        {
            // Process 1 inherits every orphan, and has to bury it.
            long ended = SystemCalls.Wait(-1, out _);
            if (ended == server || ended < 0)
            {
                Machine.End();
            }
        }
    }

    /// <summary>0 for a program that ended by itself, else the signal.</summary>
    internal static int SignalOf(int status) => status & 0x7F;

    private static void Serve(int socket)
    {
        long endings = SystemCalls.ChildEndings();
        SystemCalls.RunSoon();
        PollEntry* entries = stackalloc PollEntry[2];
        byte* news = stackalloc byte[128];
        while (true)
        {
            entries[0] = new PollEntry(socket, PollEntry.Readable);
            entries[1] = new PollEntry((int)endings, PollEntry.Readable);
            SystemCalls.Await(entries, 2);
            if (entries[1].Came != 0)
            {
                SystemCalls.Read((int)endings, news, 128);
                Bury();
            }

            long link = entries[0].Came != 0 ? SystemCalls.Accept(socket) : -1;
            if (link < 0)
            {
                continue;
            }

            long child = SystemCalls.Fork();
            if (child == 0)
            {
                SystemCalls.Close(socket);
                SystemCalls.RunSoon();
                Session.Run((int)link, (int)endings);
            }
            else if (child < 0)
            {
                Session.Refuse((int)link, (uint)-child);
            }

            SystemCalls.Close((int)link);
        }
    }

    private static void Bury()
    {
        while (SystemCalls.WaitIfEnded(-1, out int status) > 0)
        {
            if (SignalOf(status) != 0)
            {
                SystemCalls.Exit(1); // the guard ends the VM
            }
        }
    }

    /// <summary>Descriptors 0 to 2 are something, so that no pipe becomes one of them.</summary>
    private static bool TryKeepStandardStreams()
    {
        long descriptor;
        do
        {
            descriptor = SystemCalls.OpenToStay("/dev/null"u8, SystemCalls.ReadWrite);
        }
        while (descriptor is >= 0 and <= 2);
        return descriptor >= 0;
    }

    private static void SurviveLackOfMemory()
    {
        long file = SystemCalls.Open("/proc/self/oom_score_adj"u8, SystemCalls.WriteOnly);
        if (file >= 0)
        {
            SystemCalls.Write((int)file, "-1000"u8);
            SystemCalls.Close((int)file);
        }
    }
}
