using System;

namespace Quietus.LinuxProgram;

/// <summary>A program's arguments, as Linux hands them over.</summary>
/// <remarks>
/// Invariant: the stack is the one that Linux made: the number of arguments, then that many pointers to texts that end
/// in 0.
/// </remarks>
internal static unsafe class Arguments
{
    /// <summary>More than any argument can be here: the kernel's command line has 2,048 bytes.</summary>
    private const int MostText = 4096;

    /// <summary>How many there are, the program's own name among them.</summary>
    internal static ulong Count(ulong* stack) => stack[0];

    internal static ReadOnlySpan<byte> At(ulong* stack, ulong index)
    {
        byte* start = (byte*)stack[1 + index];
        int length = 0;
        while (length < MostText && start[length] != 0)
        {
            length++;
        }

        return new ReadOnlySpan<byte>(start, length);
    }
}
