using System;
using System.Collections.Generic;
using Quietus.Hypervisor.Devices;
using Shouldly;

namespace Quietus.Hypervisor.Tests.Devices;

/// <summary>
/// What the hardware does with list registers while a vCPU is in the guest: acknowledge, end (EOImode 0), and the
/// deactivation of linked physical interrupts.
/// </summary>
internal sealed class VirtualCpu(int number, int listRegisters)
{
    public const uint Spurious = 1023;

    public ulong[] Registers { get; } = new ulong[listRegisters];

    /// <summary>The physical interrupts that the guest's deactivations have deactivated.</summary>
    public List<uint> PhysicalDeactivated { get; } = [];

    public int Used { get; private set; }

    public bool More { get; private set; }

    /// <summary>ICH_HCR_EL2.EOIcount.</summary>
    public uint EndedUnlisted { get; private set; }

    /// <summary>Whether a maintenance interrupt says that a level-sensitive interrupt has ended.</summary>
    public bool EndTold { get; private set; }

    public void Enter(ref VirtualGic gic)
    {
        if (gic.NeedsAttention(number))
        {
            Used = gic.Fill(number, Registers, out bool more);
            More = more;
        }

        for (int i = 0; i < Registers.Length; i++)
        {
            ulong register = Registers[i];
            if (i >= gic.ListRegistersInUse(number))
            {
                register.ShouldBe(0UL);
                continue;
            }

            uint interrupt = (uint)register;
            interrupt.ShouldBeLessThan(96u);
            (register >> 62).ShouldNotBe(0UL);
            if ((register & ListRegister.Hardware) != 0)
            {
                (register >> 62).ShouldNotBe(3UL);
                ((uint)(register >> 32) & 0x1FFF).ShouldBe(interrupt);
            }

            for (int j = 0; j < i; j++)
            {
                ((uint)Registers[j]).ShouldNotBe(interrupt);
            }
        }
    }

    public uint Exit(ref VirtualGic gic)
    {
        uint kick = 0;
        if (EndedUnlisted != 0)
        {
            kick = gic.EndUnlisted(number, EndedUnlisted);
            EndedUnlisted = 0;
        }

        kick |= gic.ListRegistersInUse(number) != 0 ? gic.Sync(number, Registers) : 0;
        Array.Clear(Registers);
        EndTold = false;
        gic.ListRegistersInUse(number).ShouldBe(0);
        return kick;
    }

    public uint RunningPriority()
    {
        uint running = 0x100;
        foreach (ulong register in Registers)
        {
            if ((register & ListRegister.Active) != 0)
            {
                running = Math.Min(running, (uint)(register >> 48) & 0xFF);
            }
        }

        return running;
    }

    /// <summary>ICC_IAR1_EL1.</summary>
    public uint Acknowledge()
    {
        int best = -1;
        uint bestPriority = RunningPriority();
        for (int i = 0; i < Registers.Length; i++)
        {
            uint priority = (uint)(Registers[i] >> 48) & 0xFF;
            if ((Registers[i] >> 62) == 1 && (Registers[i] & ListRegister.Group1) != 0 && priority < bestPriority)
            {
                best = i;
                bestPriority = priority;
            }
        }

        if (best < 0)
        {
            return Spurious;
        }

        Registers[best] = (Registers[best] & ~ListRegister.Pending) | ListRegister.Active;
        return (uint)Registers[best];
    }

    /// <summary>ICC_EOIR1_EL1 in EOImode 0.</summary>
    public void End(uint interrupt)
    {
        for (int i = 0; i < Registers.Length; i++)
        {
            if ((uint)Registers[i] == interrupt && (Registers[i] & ListRegister.Active) != 0)
            {
                Registers[i] &= ~ListRegister.Active;
                if ((Registers[i] & ListRegister.Hardware) != 0)
                {
                    PhysicalDeactivated.Add(interrupt);
                }
                else if ((Registers[i] & ListRegister.TellEnd) != 0 && (Registers[i] >> 62) == 0)
                {
                    EndTold = true;
                }

                return;
            }
        }

        EndedUnlisted++;
    }
}
