namespace Quietus.Hypervisor.Devices;

/// <summary>
/// Random numbers for a guest: the Arm True Random Number Generator Firmware Interface, version 1.0 (DEN 0098). What
/// the calls give comes from the VM's own generator; where that has no seed they give NO_ENTROPY, never a constant.
/// </summary>
public static class Trng
{
    /// <summary>TRNG_VERSION's answer: 1.0.</summary>
    public const uint Version = 0x1_0000;

    /// <summary>There is no entropy: the machine has no source, or the VM was told to do without.</summary>
    public const long NoEntropy = -3;

    private const uint VersionFunction = 0x8400_0050;
    private const uint Features = 0x8400_0051;
    private const uint Uuid = 0x8400_0052;
    private const uint Random32 = 0x8400_0053;
    private const uint Random64 = 0xC400_0053;

    /// <summary>Most bits of one call: three registers.</summary>
    private const ulong MostBits32 = 96;
    private const ulong MostBits64 = 192;

    /// <summary>Which back end this is: UUID 5e6a4c2b-7d19-4f3e-8a25-c0d41b97e6f3.</summary>
    private const uint Uuid0 = 0x5E6A_4C2B;
    private const uint Uuid1 = 0x7D19_4F3E;
    private const uint Uuid2 = 0x8A25_C0D4;
    private const uint Uuid3 = 0x1B97_E6F3;

    /// <summary>Carries a call out; one that is none of these is NOT_SUPPORTED.</summary>
    public static void Handle(ref GuestCall call)
    {
        switch ((uint)call.X0)
        {
            case VersionFunction:
                call.X0 = Version;
                break;
            case Features:
                call.X0 = (ulong)((uint)call.X1 is VersionFunction or Features or Uuid or Random32 or Random64
                    ? Psci.Success
                    : Psci.NotSupported);
                break;
            case Uuid:
                call.X0 = Uuid0;
                call.X1 = Uuid1;
                call.X2 = Uuid2;
                call.X3 = Uuid3;
                break;
            case Random32:
                Begin(ref call, (uint)call.X1, MostBits32);
                break;
            case Random64:
                Begin(ref call, call.X1, MostBits64);
                break;
            default:
                call.X0 = unchecked((ulong)Psci.NotSupported);
                break;
        }
    }

    /// <summary>Gives the bits that a <see cref="GuestCallAction.Random"/> asks for.</summary>
    /// <param name="call">As <see cref="Handle"/> left it.</param>
    /// <param name="low">64 random bits for X3.</param>
    /// <param name="middle">For X2.</param>
    /// <param name="high">For X1.</param>
    public static void Finish(ref GuestCall call, ulong low, ulong middle, ulong high)
    {
        // A register of 32 bits each by the one function, of 64 by the other; what was not asked for is zero.
        bool isWide = call.ReportKind == MostBits64;
        int width = isWide ? 64 : 32;
        int bits = (int)call.ReportValue;
        call.X3 = low & Mask(bits, width);
        call.X2 = middle & Mask(bits - width, width);
        call.X1 = high & Mask(bits - (2 * width), width);
        call.X0 = 0;
    }

    private static ulong Mask(int bits, int width)
    {
        int used = bits < 0 ? 0 : bits < width ? bits : width;
        return used == 64 ? ulong.MaxValue : (1UL << used) - 1;
    }

    private static void Begin(ref GuestCall call, ulong bits, ulong most)
    {
        if (bits == 0 || bits > most)
        {
            call.X0 = unchecked((ulong)Psci.InvalidParameters);
            call.X1 = 0;
            call.X2 = 0;
            call.X3 = 0;
            return;
        }

        call.Action = GuestCallAction.Random;
        call.ReportKind = most;
        call.ReportValue = bits;
        call.X0 = unchecked((ulong)NoEntropy);
        call.X1 = 0;
        call.X2 = 0;
        call.X3 = 0;
    }
}
