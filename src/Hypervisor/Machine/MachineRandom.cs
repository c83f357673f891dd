using System;
using System.Buffers.Binary;
using Quietus.Hypervisor.Cores;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Randomness;

namespace Quietus.Hypervisor.Machine;

/// <summary>
/// The machine's random numbers, from which each VM's generator is seeded: what the boot loader put into the device
/// tree (rng-seed and kaslr-seed in /chosen; QEMU takes them from the host's getrandom), and RNDR where the CPUs have
/// it. Without either there are none, and that is said; nothing constant stands in.
/// </summary>
internal static class MachineRandom
{
    private const int RandomRegisterReads = 4;

    private static RandomGenerator _generator;
    private static SpinLock _lock;

    /// <summary>Whether there was a source.</summary>
    internal static bool IsSeeded => _generator.IsSeeded;

    /// <summary>On the boot core, once.</summary>
    /// <param name="deviceTree">The boot loader's tree.</param>
    internal static void Initialize(ReadOnlySpan<byte> deviceTree)
    {
        if (FlatDeviceTree.Open(deviceTree, out FlatDeviceTree tree) == DeviceTreeError.None
            && tree.TryFindPath("/chosen"u8, out DeviceTreeNode chosen))
        {
            Absorb(ref tree, chosen, "rng-seed"u8);
            Absorb(ref tree, chosen, "kaslr-seed"u8);
        }

        Span<byte> number = stackalloc byte[8];
        for (int i = 0; i < RandomRegisterReads && CpuFeatures.RandomNumbers; i++)
        {
            // 0 says that the CPU had none at hand (FEAT_RNG, RNDR: PSTATE.Z).
            ulong value = Instructions.ReadRandom();
            if (value != 0)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(number, value);
                _generator.Absorb(number);
            }
        }
    }

    /// <summary>A seed for a VM's generator. On any core. False: there is no source.</summary>
    internal static bool TrySeed(ref RandomGenerator generator)
    {
        Span<byte> seed = stackalloc byte[RandomGenerator.SeedBytes];
        _lock.Enter();
        bool isThere = _generator.TryFill(seed);
        _lock.Leave();
        if (!isThere)
        {
            return false;
        }

        generator.Absorb(seed);
        return true;
    }

    /// <summary>A boot loader that has passed the seed on, or has none, leaves the property empty or zero.</summary>
    private static void Absorb(ref FlatDeviceTree tree, DeviceTreeNode chosen, ReadOnlySpan<byte> name)
    {
        const int LeastBytes = 8;
        if (tree.TryGetProperty(chosen, name, out ReadOnlySpan<byte> seed) && seed.Length >= LeastBytes)
        {
            byte any = 0;
            foreach (byte value in seed)
            {
                any |= value;
            }

            if (any != 0)
            {
                _generator.Absorb(seed);
            }
        }
    }
}
