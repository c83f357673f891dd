using System;
using System.Runtime;
using Quietus.Agent.Serving;
using Quietus.LinuxProgram;

namespace Quietus.Agent.Boot;

/// <summary>Where C# begins, and the commands.</summary>
/// <remarks>Invariant: Begin.S hands over the stack that Linux made.</remarks>
internal static unsafe class Entry
{
    private const int Failed = 1;
    private const int Usage = 2;

    [RuntimeExport("program_start")]
    private static void Start(ulong* stack)
    {
        ReadOnlySpan<byte> command = Arguments.Count(stack) == 2 ? Arguments.At(stack, 1) : default;
        int code = Usage;
        if (command.SequenceEqual("freeze"u8))
        {
            code = Birth.Await() ? 0 : Failed;
        }
        else if (command.SequenceEqual("reseed"u8))
        {
            code = Identity.TryOpen(out Identity identity) && identity.Renew() ? 0 : Failed;
        }
        else if (command.SequenceEqual("network"u8))
        {
            Modules.Load();
            code = SharedPage.TryMap() && Machine.Open() ? 0 : Failed;
        }
        else if (command.SequenceEqual("serve"u8) || SystemCalls.ProcessId() == 1)
        {
            if (SystemCalls.ProcessId() == 1)
            {
                FirstProcess.Prepare();
            }
            else
            {
                Modules.Load();
            }

            code = Server.Run() ? 0 : Failed;
        }
        else
        {
            Message.Say("agent freeze: make this VM a template"u8);
            Message.Say("agent reseed: make its random numbers its own"u8);
            Message.Say("agent network: set its network up"u8);
            Message.Say("agent serve: run programs for the host (docs/agent.md); as process 1 it does that unasked"u8);
        }

        Exit(code);
    }

    /// <summary>What generated code calls when an index, a division or a cast fails (Corelib's ThrowHelpers).</summary>
    [RuntimeExport("quietus_check_failed")]
    private static void CheckFailed(int code)
    {
        Message.Say("a check of the compiler's failed"u8);
        Exit(code);
    }

    private static void Exit(int code)
    {
        while (true)
        {
            SystemCalls.Exit(code);
        }
    }
}
