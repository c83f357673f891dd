using System;
using System.Runtime;
using Quietus.KvmProbe.Kvm;
using Quietus.KvmProbe.Linux;

namespace Quietus.KvmProbe.Boot;

/// <summary>Where C# begins: the first process of a Linux that has nothing else to run.</summary>
/// <remarks>
/// Invariant: Begin.S hands over the stack that Linux made: argc, then that many pointers to texts that end in 0.
/// </remarks>
internal static unsafe class Entry
{
    [RuntimeExport("program_start")]
    private static void Start(ulong* stack)
    {
        Host.SetUp();
        Options options = default;
        for (ulong i = 1; i < Arguments.Count(stack); i++)
        {
            ReadOnlySpan<byte> argument = Arguments.At(stack, i);
            if (!options.Set(argument))
            {
                Failure.Stop("unknown argument"u8, argument, 0);
            }
        }

        if (!options.IsComplete)
        {
            Failure.Stop("memory, fill and pages have to be given"u8, default, 0);
        }

        Stopwatch.SetUp();
        VirtualMachine.SetUp();
        Output.Introduce();
        if (options.Writes == 0)
        {
            Ways.Run(options);
        }
        else
        {
            Births.Run(options);
        }

        Output.Done();
        Host.TurnOff();
    }

    /// <summary>What generated code calls when an index, a division or a cast fails (Corelib's ThrowHelpers).</summary>
    [RuntimeExport("quietus_check_failed")]
    private static void CheckFailed(int code) => Failure.Stop("a check of the compiler's"u8, default, code);
}
