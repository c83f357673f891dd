using System;

namespace Quietus.Hypervisor.Devices.Network;

/// <summary>
/// How much a VM may send: 125 Mbit/s, and 64 KB at once. A frame counts as 256 bytes at least, so that small ones are
/// bounded too, by 61,000 in a second. Zeroed memory is a VM that has sent nothing.
/// </summary>
/// <remarks>One number is enough: when all that was sent would have been, at the rate (ATM's GCRA).</remarks>
public struct FrameAllowance
{
    private const int LeastBytes = 256;
    private const ulong NanosecondsPerByte = 64;
    private const ulong BurstNanoseconds = (64 << 10) * NanosecondsPerByte;

    private ulong _paidUntil;

    /// <summary>Takes a frame into account; false when it has to wait.</summary>
    /// <param name="now">Nanoseconds of a clock that goes on.</param>
    /// <param name="bytes">Its length.</param>
    public bool TryTake(ulong now, int bytes)
    {
        ulong from = Math.Max(_paidUntil, now);
        if (from - now > BurstNanoseconds)
        {
            return false;
        }

        _paidUntil = from + ((ulong)Math.Max(bytes, LeastBytes) * NanosecondsPerByte);
        return true;
    }
}
