using Quietus.KvmProbe.Linux;

namespace Quietus.KvmProbe;

/// <summary>What one way took.</summary>
internal struct Measurement
{
    internal Cost Cost;

    /// <summary>Of the memory that was written, bytes in blocks of 2 MB.</summary>
    internal ulong HugeBytes;

    /// <summary>By how much the host's free memory grew.</summary>
    internal ulong FreedBytes;
}

/// <summary>Up to three measurements of one way.</summary>
internal struct Measurements
{
    internal const int Most = 3;

    private Measurement least;
    private Measurement middle;
    private Measurement most;
    private int count;

    /// <summary>The one, the smaller of two, or the middle of three, by instructions.</summary>
    internal readonly Measurement Middle => count == Most ? middle : least;

    internal void Add(in Measurement next)
    {
        if (count == 0 || next.Cost.Instructions < least.Cost.Instructions)
        {
            most = middle;
            middle = least;
            least = next;
        }
        else if (count == 1 || next.Cost.Instructions < middle.Cost.Instructions)
        {
            most = middle;
            middle = next;
        }
        else
        {
            most = next;
        }

        count++;
    }
}
