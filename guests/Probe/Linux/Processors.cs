namespace Quietus.Probe.Linux;

/// <summary>
/// The processors that this process may use: the first is for what is measured, the second for others.
/// </summary>
/// <remarks>Invariant: the masks have as many bytes as is said; the kernel writes no more.</remarks>
internal static unsafe class Processors
{
    private const int Words = 128; // 8,192 processors, the most that Linux has
    private const int Bits = 64;

    internal static int Count { get; private set; }

    internal static int First { get; private set; }

    /// <summary>Where there is one processor only, the first.</summary>
    internal static int Second { get; private set; }

    internal static void SetUp()
    {
        ulong* mask = stackalloc ulong[Words];
        long bytes = (long)Problem.Checked(
            SystemCalls.Processors(mask, Words * sizeof(ulong)), "asking for processors"u8);
        First = Second = -1;
        for (int i = 0; i < bytes * 8; i++)
        {
            if ((mask[i / Bits] >> (i % Bits) & 1) == 0)
            {
                continue;
            }

            Count++;
            Second = First >= 0 && Second == First ? i : Second;
            First = First < 0 ? i : First;
            Second = Second < 0 ? i : Second;
        }
    }

    /// <summary>One of them by its place, round and round.</summary>
    internal static int At(int index)
    {
        ulong* mask = stackalloc ulong[Words];
        long bytes = SystemCalls.Processors(mask, Words * sizeof(ulong));
        int left = index % Count;
        for (int i = 0; i < bytes * 8; i++)
        {
            if ((mask[i / Bits] >> (i % Bits) & 1) != 0 && left-- == 0)
            {
                return i;
            }
        }

        return First;
    }

    /// <summary>Keeps this process on one processor.</summary>
    internal static void StayOn(int processor)
    {
        ulong* mask = stackalloc ulong[Words];
        for (int i = 0; i < Words; i++)
        {
            mask[i] = 0;
        }

        mask[processor / Bits] = 1UL << (processor % Bits);
        Problem.Checked(SystemCalls.RunOn(mask, Words * sizeof(ulong)), "staying on one processor"u8);
    }
}
