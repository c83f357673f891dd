using Quietus.LinuxProgram;

namespace Quietus.Agent;

/// <summary>
/// What makes a child another machine than its template. The kernel's random numbers: a kernel that knows VMGENID by
/// device tree (6.10) does this by itself; Debian's 6.1 does not.
/// </summary>
/// <remarks>Invariant: what the kernel is given is as long as it is told.</remarks>
internal readonly unsafe struct Identity
{
    private const ulong GenerationIdStart = 0x0905_0000;
    private const int GenerationIdBytes = 16;

    // random(4), by asm-generic/ioctl.h.
    private const ulong AddEntropy = 0x4008_5203; // RNDADDENTROPY
    private const ulong Reseed = 0x5207; // RNDRESEEDCRNG

    private readonly int _random;
    private readonly DevicePage _generation;
    private readonly bool _hasGeneration;

    private Identity(int random, DevicePage generation, bool hasGeneration)
    {
        _random = random;
        _generation = generation;
        _hasGeneration = hasGeneration;
    }

    /// <summary>
    /// Everything that takes time, or can fail, before the birth. False, with a message, where the machine has no
    /// random numbers for its VMs.
    /// </summary>
    internal static bool TryOpen(out Identity identity)
    {
        identity = default;
        long there = SystemCalls.Open("/proc/device-tree/rng@9050000/compatible"u8, 0);
        if (there < 0)
        {
            Message.Say("this VM has no random numbers of its own (random=off, or a machine without a source)"u8);
            return false;
        }

        SystemCalls.Close((int)there);
        long random = SystemCalls.Open("/dev/random"u8, SystemCalls.ReadWrite);
        if (random < 0)
        {
            Message.Say("/dev/random cannot be opened"u8);
            return false;
        }

        // Where the kernel has a driver for the page it keeps the page, and reseeds when the interrupt comes.
        bool hasGeneration = DevicePage.TryMap(GenerationIdStart, out DevicePage generation);
        identity = new Identity((int)random, generation, hasGeneration);
        return true;
    }

    /// <summary>
    /// Stirs the generation ID in, and makes the kernel take a new key at once, for which it draws 32 bytes from the
    /// TRNG calls. False, with a message, when it does not.
    /// </summary>
    internal bool Renew()
    {
        if (_hasGeneration)
        {
            // struct rand_pool_info: bits of entropy, bytes, and these.
            ulong* pool = stackalloc ulong[3];
            pool[0] = ((ulong)GenerationIdBytes << 32) | (8 * GenerationIdBytes);
            pool[1] = _generation.Load(0);
            pool[2] = _generation.Load(sizeof(ulong));
            if (SystemCalls.Control(_random, AddEntropy, (ulong)pool) < 0)
            {
                Message.Say("the kernel takes no entropy (RNDADDENTROPY): is this root?"u8);
                return false;
            }
        }

        if (SystemCalls.Control(_random, Reseed, 0) < 0)
        {
            Message.Say("the kernel does not reseed (RNDRESEEDCRNG): is this root?"u8);
            return false;
        }

        return true;
    }
}
